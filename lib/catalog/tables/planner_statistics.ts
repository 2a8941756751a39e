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
import { expectedStatistics, ownTables } from "./statistics_sql.ts";

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

/** The statistics of a column, or of an expression of an index. Values are in text form. */
export type ColumnStatistics = {
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

// the names of relations and of their schemas restrict the view, which would be read as a whole
const columnStatement = (majorVersion: number) => `
  WITH own_table AS (${ownTables(wanted)}
  ), expected AS (${expectedStatistics(majorVersion, wanted)}
  ), names AS (
    SELECT pg_catalog.array_agg(DISTINCT schema) AS schemas, pg_catalog.array_agg(DISTINCT name) AS names
      FROM expected
  )
  SELECT t.schema AS table_schema, t.name AS table_name, e.schema, e.name, e.is_index AS "isIndex",
         e.attname AS attribute, e.attnum AS number, e.inherited, e.type, e.sort_order,
         s.null_frac, s.avg_width, s.n_distinct,
         s.most_common_vals::pg_catalog.text, s.most_common_freqs::pg_catalog.text,
         s.histogram_bounds::pg_catalog.text, s.correlation,
         s.most_common_elems::pg_catalog.text, s.most_common_elem_freqs::pg_catalog.text,
         s.elem_count_histogram::pg_catalog.text, ${
  majorVersion >= 17
    ? `s.range_length_histogram::pg_catalog.text, s.range_empty_frac, s.range_bounds_histogram::pg_catalog.text`
    : `NULL AS range_length_histogram, NULL AS range_empty_frac, NULL AS range_bounds_histogram`
}
    FROM names
   CROSS JOIN LATERAL (
      SELECT * FROM pg_catalog.pg_stats AS s
       WHERE s.schemaname = ANY (names.schemas) AND s.tablename = ANY (names.names)
   ) AS s
    JOIN expected AS e
      ON e.schema = s.schemaname AND e.name = s.tablename AND e.attname = s.attname
     AND e.inherited = s.inherited AND e.untold IS NULL
    JOIN own_table AS t ON t.oid = e.table_oid
   ORDER BY t.schema COLLATE pg_catalog."C", t.name COLLATE pg_catalog."C", e.is_index, e.attnum`;

type ColumnRow = Omit<ColumnStatistics, "of"> & {
  readonly table_schema: string;
  readonly table_name: string;
};

/** Reads the statistics of tables, with those of their expression indexes. */
export async function readPlannerStatistics(
  session: Session,
  tables: readonly TableName[],
): Promise<PlannerStatistics> {
  const names = [
    textArray(tables.map(({ schema }) => schema)),
    textArray(tables.map(({ name }) => name)),
  ];
  const { majorVersion, serverVersion: version } = session;
  const options = { resultBytes: catalogResultBytes };
  const [relations, columns] = await Promise.all([
    session.query<RelationStatistics>(relationStatement(majorVersion), names, options),
    session.query<ColumnRow>(columnStatement(majorVersion), names, options),
  ]);
  return {
    version,
    relations,
    columns: columns.map(({ table_schema, table_name, ...column }) => ({
      ...column,
      of: { schema: table_schema, name: table_name },
    })),
  };
}
