/**
 * Reads planner statistics, in the form in which PostgreSQL 18 restores them.
 *
 * Source: PostgreSQL documentation, "9.28.12. Statistics Manipulation Functions", "53.28.
 * pg_stats".
 *
 * @module
 */
import type { TableName } from "../../core/internal.ts";
import { catalogResultBytes, type Session, textArray } from "../../postgres/internal.ts";
import { expectedStatistics } from "./statistics_sql.ts";

/** What the planner knows about the size of a table. */
export type RelationStatistics = TableName & {
  /** When it was analyzed; -1 for a partitioned table. */
  readonly pages: number;
  /** When it was analyzed; -1 if it never was. */
  readonly tuples: number;
  readonly allVisible: number;
  /** From 18 on. */
  readonly allFrozen: number | null;
  /** At the moment; 0 for a partitioned table. */
  readonly blocks: number;
};

/** The columns of `pg_stats`; arrays in text form. */
export type StatisticValues = {
  readonly null_frac: number | null;
  readonly avg_width: number | null;
  readonly n_distinct: number | null;
  readonly most_common_vals: string | null;
  readonly most_common_freqs: string | null;
  readonly histogram_bounds: string | null;
  readonly correlation: number | null;
  readonly most_common_elems: string | null;
  readonly most_common_elem_freqs: string | null;
  readonly elem_count_histogram: string | null;
  readonly range_length_histogram: string | null;
  readonly range_empty_frac: number | null;
  readonly range_bounds_histogram: string | null;
};

/** The statistics of a column, or of an expression of an index. */
export type ColumnStatistics = StatisticValues & {
  /** The table that the column or the index belongs to. */
  readonly of: TableName;
  /** The relation with the column: a table or an index. */
  readonly schema: string;
  readonly name: string;
  readonly isIndex: boolean;
  readonly attribute: string;
  /** Its number, for columns of an index: their names depend on the version. */
  readonly number: number;
  readonly inherited: boolean;
  /** As `format_type` prints it. */
  readonly type: string;
  /** See `collationOrder`. */
  readonly sort_order: string;
};

/** The statistics of some tables. */
export interface PlannerStatistics {
  /** `server_version_num` of the server that they were read from. */
  readonly version: number;
  readonly relations: readonly RelationStatistics[];
  readonly columns: readonly ColumnStatistics[];
}

// $1 and $2: schemas and names of the tables, in pairs
const wanted = `(n.nspname, c.relname) IN (
    SELECT w.schema, w.name FROM unnest($1::pg_catalog.name[], $2::pg_catalog.name[]) AS w (schema, name))`;

// before 14, 0 tuples in 0 pages mean that the number is unknown
const relationStatement = (majorVersion: number) => `
  SELECT n.nspname AS schema, c.relname AS name, c.relpages AS pages,
         CASE WHEN ${majorVersion} < 14 AND c.reltuples = 0 AND c.relpages = 0 THEN -1
              ELSE c.reltuples END::pg_catalog.float8 AS tuples,
         c.relallvisible AS "allVisible", ${
  majorVersion >= 18 ? "c.relallfrozen" : "NULL"
} AS "allFrozen",
         (coalesce(pg_catalog.pg_relation_size(c.oid), 0)
           / pg_catalog.current_setting('block_size')::pg_catalog.int8)::pg_catalog.float8 AS blocks
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p') AND ${wanted}`;

const expectedStatement = (majorVersion: number) => `
  WITH expected AS (${expectedStatistics(majorVersion, wanted)}
  )
  SELECT t.nspname AS table_schema, c.relname AS table_name, e.schema, e.name, e.is_index AS "isIndex",
         e.attname AS attribute, e.attnum AS number, e.inherited, e.type, e.sort_order
    FROM expected AS e
    JOIN pg_catalog.pg_class AS c ON c.oid = e.table_oid
    JOIN pg_catalog.pg_namespace AS t ON t.oid = c.relnamespace
   WHERE e.untold IS NULL
   ORDER BY t.nspname COLLATE pg_catalog."C", c.relname COLLATE pg_catalog."C", e.is_index, e.attnum`;

// Constants of the view's own columns restrict it; joined with anything else, it would be read as a
// whole, and by a nested loop many times. $1 and $2: schemas, and names of tables and indexes.
const valueStatement = (majorVersion: number) => `
  SELECT s.schemaname AS schema, s.tablename AS name, s.attname AS attribute, s.inherited,
         s.null_frac, s.avg_width, s.n_distinct,
         s.most_common_vals::pg_catalog.text, s.most_common_freqs::pg_catalog.text,
         s.histogram_bounds::pg_catalog.text, s.correlation,
         s.most_common_elems::pg_catalog.text, s.most_common_elem_freqs::pg_catalog.text,
         s.elem_count_histogram::pg_catalog.text, ${
  majorVersion >= 17
    ? `s.range_length_histogram::pg_catalog.text, s.range_empty_frac, s.range_bounds_histogram::pg_catalog.text`
    : `NULL AS range_length_histogram, NULL AS range_empty_frac, NULL AS range_bounds_histogram`
}
    FROM pg_catalog.pg_stats AS s
   WHERE s.schemaname = ANY ($1::pg_catalog.name[]) AND s.tablename = ANY ($2::pg_catalog.name[])`;

type ExpectedRow = Omit<ColumnStatistics, "of" | keyof StatisticValues> & {
  readonly table_schema: string;
  readonly table_name: string;
};
type ValueRow =
  & StatisticValues
  & Pick<ColumnStatistics, "schema" | "name" | "attribute" | "inherited">;

const statisticKey = (
  { schema, name, attribute, inherited }: Pick<
    ColumnStatistics,
    "schema" | "name" | "attribute" | "inherited"
  >,
) => JSON.stringify([schema, name, attribute, inherited]);

/** Reads the statistics of tables, with those of their indexes with expressions. */
export async function readPlannerStatistics(
  session: Session,
  tables: readonly (TableName & { readonly indexes: readonly string[] })[],
): Promise<PlannerStatistics> {
  const schemas = textArray(tables.map(({ schema }) => schema));
  const names = textArray(tables.map(({ name }) => name));
  const withIndexes = textArray(tables.flatMap(({ name, indexes }) => [name, ...indexes]));
  const { majorVersion, serverVersion: version } = session;
  const options = { resultBytes: catalogResultBytes };
  const [relations, expected, values] = await Promise.all([
    session.query<RelationStatistics>(relationStatement(majorVersion), [schemas, names], options),
    session.query<ExpectedRow>(expectedStatement(majorVersion), [schemas, names], options),
    session.query<ValueRow>(valueStatement(majorVersion), [schemas, withIndexes], options),
  ]);
  const byColumn = new Map(values.map((row) => [statisticKey(row), row]));
  return {
    version,
    relations,
    columns: expected.flatMap(({ table_schema, table_name, ...column }) => {
      const found = byColumn.get(statisticKey(column));
      return found === undefined
        ? []
        : [{ ...column, ...found, of: { schema: table_schema, name: table_name } }];
    }),
  };
}
