/**
 * Writes planner statistics with the functions of PostgreSQL 18.
 *
 * Source: PostgreSQL documentation, "9.28.12. Statistics Manipulation Functions".
 *
 * @module
 */
import type { TableName } from "../core/internal.ts";
import {
  collationOrder,
  type ColumnStatistics,
  type PlannerStatistics,
} from "../catalog/internal.ts";
import type { Session } from "../postgres/internal.ts";

/** The first version that can restore statistics. */
export const restoresStatistics = 18;

/** A column without the statistics of the source. */
export interface LeftColumn {
  readonly table: TableName;
  /** Undefined for an expression of an index, or for the table itself. */
  readonly column: string | undefined;
  /**
   * `differs`: its type or collation is another one; `refused`: by the target; `unreadable`: the
   * source's could not be read.
   */
  readonly reason: "differs" | "refused" | "unreadable";
}

// A value of the wrong form is a warning, and the function returns false. Pages are those of the
// target: the planner multiplies rows per page by the pages that it finds.
const relationStatement = `
  SELECT s.number, pg_catalog.pg_restore_relation_stats(
           'schemaname', s.schema, 'relname', s.name, 'version', s.version,
           'relpages', pages.number,
           'reltuples', CASE WHEN c.relkind = 'p' OR s.pages <= 0 OR s.tuples < 0 THEN s.tuples
                             ELSE pg_catalog.round(s.tuples / s.pages * s.blocks) END::real,
           'relallvisible', share.visible, 'relallfrozen', share.frozen) AS restored
    FROM pg_catalog.json_to_recordset($1::pg_catalog.json) AS s (
           number int, schema text, name text, version int, pages pg_catalog.float8, tuples pg_catalog.float8,
           "allVisible" pg_catalog.float8, "allFrozen" pg_catalog.float8, blocks pg_catalog.float8)
    JOIN pg_catalog.pg_namespace AS n ON n.nspname = s.schema
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = s.name AND c.relkind IN ('r', 'p')
   CROSS JOIN LATERAL (
     SELECT CASE WHEN c.relkind = 'p' THEN s.pages::int
                 ELSE (coalesce(pg_catalog.pg_relation_size(c.oid), 0)
                        / pg_catalog.current_setting('block_size')::pg_catalog.int8)::int END AS number
   ) AS pages
   CROSS JOIN LATERAL (
     SELECT CASE WHEN s.pages > 0 THEN pg_catalog.round(s."allVisible" / s.pages * pages.number)::int END AS visible,
            CASE WHEN s.pages > 0 THEN pg_catalog.round(s."allFrozen" / s.pages * pages.number)::int END AS frozen
   ) AS share`;

// columns of an index by number: their names differ between versions
const columnStatement = (majorVersion: number) => `
  SELECT s.number, a.attnum IS NOT NULL AS exists, coalesce(a.same, false) AS same,
         CASE WHEN a.same THEN pg_catalog.pg_restore_attribute_stats(
           'schemaname', s.schema, 'relname', s.name, 'attnum', a.attnum, 'inherited', s.inherited,
           'version', s.version, 'null_frac', s.null_frac, 'avg_width', s.avg_width, 'n_distinct', s.n_distinct,
           'most_common_vals', s.most_common_vals, 'most_common_freqs', s.most_common_freqs::real[],
           'histogram_bounds', s.histogram_bounds, 'correlation', s.correlation,
           'most_common_elems', s.most_common_elems, 'most_common_elem_freqs', s.most_common_elem_freqs::real[],
           'elem_count_histogram', s.elem_count_histogram::real[],
           'range_length_histogram', s.range_length_histogram, 'range_empty_frac', s.range_empty_frac,
           'range_bounds_histogram', s.range_bounds_histogram) END AS restored
    FROM pg_catalog.json_to_recordset($1::pg_catalog.json) AS s (
           number int, schema text, name text, "isIndex" boolean, attribute text, "attributeNumber" int,
           inherited boolean, type text, sort_order text, version int,
           null_frac real, avg_width int, n_distinct real, most_common_vals text, most_common_freqs text,
           histogram_bounds text, correlation real, most_common_elems text, most_common_elem_freqs text,
           elem_count_histogram text, range_length_histogram text, range_empty_frac real, range_bounds_histogram text)
    LEFT JOIN LATERAL (
      SELECT a.attnum, pg_catalog.format_type(a.atttypid, a.atttypmod) = s.type
               AND ${collationOrder(majorVersion, "a")} = s.sort_order AS same
        FROM pg_catalog.pg_namespace AS n
        JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = s.name
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND NOT a.attisdropped
       WHERE n.nspname = s.schema
         AND CASE WHEN s."isIndex" THEN c.relkind = 'i' AND a.attnum = s."attributeNumber"
                  ELSE c.relkind IN ('r', 'p') AND a.attname = s.attribute AND a.attnum > 0 END
    ) AS a ON true`;

type RestoredRelation = { readonly number: number; readonly restored: boolean };
type RestoredColumn = {
  readonly number: number;
  readonly exists: boolean;
  readonly same: boolean;
  readonly restored: boolean | null;
};

/**
 * Restores the statistics of tables that exist in the session's database.
 *
 * @returns what was not restored
 * @throws ServerError if the server refuses a table, for example because the role does not own it
 */
export async function restoreStatistics(
  session: Session,
  { version, relations, columns }: PlannerStatistics,
): Promise<readonly LeftColumn[]> {
  const known = relations.filter(({ tuples }) => tuples >= 0);
  const [ofRelations, ofColumns] = await Promise.all([
    known.length === 0 ? [] : session.query<RestoredRelation>(relationStatement, [
      JSON.stringify(known.map((relation, number) => ({ ...relation, version, number }))),
    ]),
    columns.length === 0 ? [] : session.query<RestoredColumn>(
      columnStatement(session.majorVersion),
      [JSON.stringify(columns.map((column, number) => toRecord(column, { version, number })))],
    ),
  ]);
  return [
    ...ofRelations.flatMap(({ number, restored }): readonly LeftColumn[] => {
      const table = known[number];
      return restored || table === undefined
        ? []
        : [{ table: nameOf(table), column: undefined, reason: "refused" }];
    }),
    ...ofColumns.flatMap(({ number, exists, same, restored }): readonly LeftColumn[] => {
      const column = columns[number];
      // an index that could not be created, and is created later
      if (restored === true || column === undefined || (column.isIndex && !exists)) return [];
      return [{
        table: column.of,
        column: column.isIndex ? undefined : column.attribute,
        reason: same ? "refused" : "differs",
      }];
    }),
  ];
}

/** Without the empty values, whose names would take more room. */
function toRecord(
  { of: _table, number: attributeNumber, ...column }: ColumnStatistics,
  { version, number }: { readonly version: number; readonly number: number },
): Readonly<Record<string, unknown>> {
  const given = Object.entries(column).filter(([, value]) => value !== null);
  return { ...Object.fromEntries(given), attributeNumber, version, number };
}

function nameOf({ schema, name }: TableName): TableName {
  return { schema, name };
}
