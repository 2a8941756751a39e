/**
 * What else writes into the tables of a cutover. Only reads.
 *
 * @module
 */
import { tableKey, type TableName } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import { readAppliers } from "../../replication/internal.ts";

// pg_stat_subscription, because roles may not read the OIDs in pg_subscription before 14
const subscriptionStatement = `
  SELECT DISTINCT s.subname::pg_catalog.text AS subscription, n.nspname AS schema, c.relname AS name
    FROM pg_catalog.pg_subscription AS s
    JOIN pg_catalog.pg_database AS d ON d.oid = s.subdbid AND d.datname = pg_catalog.current_database()
    JOIN pg_catalog.pg_stat_subscription AS t ON t.subname = s.subname
    JOIN pg_catalog.pg_subscription_rel AS r ON r.srsubid = t.subid
   CROSS JOIN LATERAL (SELECT r.srrelid AS oid
                       UNION SELECT a.relid::pg_catalog.oid FROM pg_catalog.pg_partition_ancestors(r.srrelid) AS a
                       UNION SELECT p.relid::pg_catalog.oid FROM pg_catalog.pg_partition_tree(r.srrelid) AS p) AS f
    JOIN pg_catalog.pg_class AS c ON c.oid = f.oid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE s.subenabled
   ORDER BY 1, 2, 3`;

/** Subscriptions and streams of others that write into the tables, their partitions or parents. */
export async function readOtherSubscriptions(
  session: Session,
  { tables, own }: { readonly tables: readonly TableName[]; readonly own: readonly string[] },
): Promise<readonly string[]> {
  const keys = new Set(tables.map((table) => tableKey(table)));
  const rows = await session.query<{ subscription: string; schema: string; name: string }>(
    subscriptionStatement,
  );
  const streams = (await readAppliers(session)).filter(({ kind, workerPid }) =>
    kind === "client" && workerPid !== undefined
  ).flatMap(({ name, tables }) => tables.map((table) => ({ ...table, subscription: name })));
  return [
    ...new Set(
      [...rows, ...streams].filter((table) =>
        keys.has(tableKey(table)) && !own.includes(table.subscription)
      )
        .map(({ subscription }) => subscription),
    ),
  ];
}
