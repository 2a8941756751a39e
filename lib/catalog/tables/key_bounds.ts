/**
 * Finds key values that split a table, for servers that cannot read ranges of blocks.
 *
 * @module
 */
import type { Session } from "../../postgres/internal.ts";
import type { Table } from "./tables.ts";

/** Values that split a table into parts of about equal size. */
export interface KeyBounds {
  /** The first column of the primary key; never NULL. */
  readonly column: string;
  /** Its type, schema-qualified where needed. */
  readonly type: string;
  /**
   * Distinct values in ascending order, as text; the smallest and largest known value are omitted.
   */
  readonly bounds: readonly string[];
}

// unless key order follows row order, each part would read the whole table or need random access
const boundsStatement = `
  SELECT c.oid, a.attname AS "column", pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
         pg_catalog.to_json(s.histogram_bounds::pg_catalog.text::pg_catalog.text[]) AS bounds
    FROM pg_catalog.unnest($1::pg_catalog.text::pg_catalog.oid[]) AS wanted (oid)
    JOIN pg_catalog.pg_class AS c ON c.oid = wanted.oid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_index AS i ON i.indrelid = c.oid AND i.indisprimary AND i.indisvalid
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
    JOIN pg_catalog.pg_stats AS s ON s.schemaname = n.nspname AND s.tablename = c.relname
                      AND s.attname = a.attname AND NOT s.inherited
   WHERE s.histogram_bounds IS NOT NULL AND pg_catalog.abs(s.correlation) > 0.8`;

/**
 * Reads bounds from the statistics of ANALYZE: without a scan, and without skew from gaps in the
 * key. A table that was never analyzed, has no primary key, or is not stored in key order has none.
 *
 * Source: PostgreSQL documentation, "pg_stats".
 *
 * @returns bounds by table OID
 */
export async function readKeyBounds(
  session: Session,
  tables: readonly Pick<Table, "oid">[],
): Promise<ReadonlyMap<number, KeyBounds>> {
  if (tables.length === 0) return new Map();
  const rows = await session.query<KeyBounds & { readonly oid: number }>(boundsStatement, [
    `{${tables.map(({ oid }) => oid).join(",")}}`,
  ]);
  return new Map(rows.map(({ oid, column, type, bounds }) => [
    oid,
    { column, type, bounds: [...new Set(bounds)].slice(1, -1) },
  ]));
}
