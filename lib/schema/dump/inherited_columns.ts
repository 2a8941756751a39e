/**
 * Reads the columns of child tables, in order.
 *
 * @module
 */
import { quoteLiteral, tableKey } from "../../core/internal.ts";
import { type Endpoint, openSession } from "../../postgres/internal.ts";
import type { InheritedColumn } from "../parse/column_order.ts";

interface InheritedColumnRow extends InheritedColumn {
  readonly schema: string;
  readonly table: string;
}

const statement = `
  SELECT n.nspname AS schema, c.relname AS table, a.attname AS name, a.attinhcount > 0 AS inherited, a.attnotnull AS "notNull",
         NOT_NULL_CONSTRAINT AS "notNullConstraint"
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
   WHERE c.relkind IN ('r', 'f') AND NOT c.relispartition
     AND c.oid IN (SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i)
   ORDER BY c.oid, a.attnum`;

const since18 = `
         (SELECT pg_catalog.json_build_object('name', k.conname, 'inherited', k.coninhcount > 0)
            FROM pg_catalog.pg_constraint AS k
           WHERE k.conrelid = c.oid AND k.contype = 'n' AND k.conkey = ARRAY[a.attnum])`;

/** Reads them as of a snapshot, whose exporting session must be open. Keys are `tableKey`. */
export async function readInheritedColumns(
  { endpoint, snapshot, signal }: {
    readonly endpoint: Endpoint;
    readonly snapshot?: string | undefined;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<ReadonlyMap<string, readonly InheritedColumn[]>> {
  await using session = await openSession(endpoint, { signal });
  const rows = await session.transaction(async () => {
    if (snapshot !== undefined) {
      await session.execute(`SET TRANSACTION SNAPSHOT ${quoteLiteral(snapshot)}`);
    }
    return await session.query<InheritedColumnRow & Record<string, unknown>>(
      statement.replace("NOT_NULL_CONSTRAINT", session.majorVersion >= 18 ? since18 : "NULL"),
    );
  }, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  return Map.groupBy(rows, ({ schema, table }) => tableKey({ schema, name: table }));
}
