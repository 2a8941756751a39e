/**
 * Foreign keys for which the target refuses a replicated TRUNCATE.
 *
 * @module
 */
import {
  displayName,
  quoteIdentifier,
  quoteQualified,
  type TableName,
} from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import { type Hazard, listSome } from "./hazard.ts";

type ForeignKey = {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly key: string;
  readonly key_schema: string;
  readonly key_table: string;
  readonly is_unlogged: boolean;
  readonly other: number;
  readonly other_schema: string;
  readonly other_name: string;
};

// partitions on either side have foreign keys of their own, which can only be dropped with the
// topmost one
const statement = `
  WITH RECURSIVE top (oid, key) AS (
    SELECT k.oid, k.oid FROM pg_catalog.pg_constraint AS k WHERE k.contype = 'f' AND k.conparentid = 0
    UNION ALL
    SELECT k.oid, top.key
      FROM top
      JOIN pg_catalog.pg_constraint AS k ON k.conparentid = top.oid
  )
  SELECT c.oid, n.nspname AS schema, c.relname AS name, d.conname AS key,
         e.nspname AS key_schema, b.relname AS key_table,
         c.relpersistence = 'u' AS is_unlogged,
         o.oid AS other, m.nspname AS other_schema, o.relname AS other_name
    FROM pg_catalog.pg_constraint AS k
    JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_class AS o ON o.oid = k.confrelid
    JOIN pg_catalog.pg_namespace AS m ON m.oid = o.relnamespace
    JOIN top ON top.oid = k.oid
    JOIN pg_catalog.pg_constraint AS d ON d.oid = top.key
    JOIN pg_catalog.pg_class AS b ON b.oid = d.conrelid
    JOIN pg_catalog.pg_namespace AS e ON e.oid = b.relnamespace
   WHERE k.contype = 'f' AND c.relkind = 'r' AND o.relkind = 'r' AND c.oid <> o.oid
   ORDER BY n.nspname COLLATE pg_catalog."C", c.relname COLLATE pg_catalog."C", k.conname COLLATE pg_catalog."C"`;

/**
 * Finds published tables referenced by unpublished tables of the target. The source truncates both
 * at once, but only one TRUNCATE is replicated, and the target rejects it.
 */
export async function findTruncateReach(
  session: Session,
  { published, isOnTarget }: {
    readonly published: ReadonlySet<number>;
    readonly isOnTarget: (table: TableName) => boolean;
  },
): Promise<readonly Hazard[]> {
  const keys = (await session.query<ForeignKey>(statement)).filter(({ oid, other, schema, name }) =>
    published.has(other) && !published.has(oid) && isOnTarget({ schema, name })
  );
  const [first] = keys;
  if (first === undefined) return [];
  const unlogged = keys.find(({ is_unlogged }) => is_unlogged);
  return [{
    id: "truncate-reach",
    isCertain: false,
    finding:
      "a TRUNCATE on the source would stop replication, because on the target tables that are not replicated reference the truncated one: " +
      listSome(
        keys.map((key) =>
          `${displayName(key)} (${key.key}) references ${
            displayName({ schema: key.other_schema, name: key.other_name })
          }`
        ),
      ),
    remedy: [
      ...(unlogged === undefined ? [] : [
        `ALTER TABLE ${quoteQualified(unlogged.schema, unlogged.name)} SET LOGGED; on the source`,
      ]),
      `--exclude-tables for ${displayName(first)}`,
      "or, until the cutover, on the target after init: " +
      listSome(
        keys.map(({ key_schema, key_table, key }) =>
          `ALTER TABLE ${quoteQualified(key_schema, key_table)} DROP CONSTRAINT ${
            quoteIdentifier(key)
          };`
        ),
        " ",
      ),
    ].join("; "),
  }];
}
