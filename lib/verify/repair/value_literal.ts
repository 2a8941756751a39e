/**
 * SQL expressions that render values as literals.
 *
 * @module
 */
import type { ComparedColumn } from "../plan/columns.ts";
import { columnReference } from "../scan/digest.ts";

/**
 * A literal as `%L` formats it, from the type's output function and therefore lossless. A `"char"`
 * is written as a number (see `valueText`).
 */
export function valueLiteral(column: ComparedColumn): string {
  const value = columnReference(column);
  const text = `pg_catalog.format('%L', ${value})`;
  if (column.send === "charsend") return `COALESCE('(' || ${value}::int || ')::"char"', 'NULL')`;
  if (column.sourceType !== '"char"[]') return text;
  return `CASE WHEN pg_catalog.array_ndims(${value}) = 1 AND pg_catalog.array_lower(${value}, 1) = 1 THEN (
    SELECT 'ARRAY[' || pg_catalog.string_agg(COALESCE(pg_catalog.textin(pg_catalog.int4out(e::int)), 'NULL'), ',' ORDER BY n) || ']::int[]::"char"[]'
      FROM pg_catalog.unnest(${value}) WITH ORDINALITY AS element (e, n)) ELSE ${text} END`;
}
