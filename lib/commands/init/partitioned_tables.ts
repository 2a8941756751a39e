import { tableKey } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";

/** The tables of a database that have partitions, by `tableKey`. */
export async function partitionedTables(session: Session): Promise<ReadonlySet<string>> {
  const rows = await session.query<{ readonly schema: string; readonly name: string }>(`
    SELECT n.nspname AS schema, c.relname AS name
      FROM pg_catalog.pg_class AS c
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind = 'p'`);
  return new Set(rows.map((table) => tableKey(table)));
}
