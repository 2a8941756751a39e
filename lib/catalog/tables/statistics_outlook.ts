/**
 * Which planner statistics of a database can be carried over to another server.
 *
 * @module
 */
import { ownSchemaList, tableKey, type TableName } from "../../core/internal.ts";
import { catalogResultBytes, type Session } from "../../postgres/internal.ts";
import { expectedStatistics, ownTables } from "./statistics_sql.ts";

/** Why statistics of a table, or of some of its columns, are collected on the target. */
export type AnalyzeReason =
  /** The table was never analyzed on the source. */
  | "never-analyzed"
  /** Columns that were added since, or for which ANALYZE found nothing. */
  | "missing"
  /** The role may not read them. */
  | "unreadable"
  /** `pg_stats` does not show all statistics of these types. */
  | "type"
  /** PostgreSQL cannot restore extended statistics. */
  | "extended"
  /** They are larger than what is held in memory. */
  | "large"
  /** Not all of its rows are copied. */
  | "partial"
  /** It is computed on the target. */
  | "materialized-view"
  /** On the target, the type or collation is another one. */
  | "differs"
  /** The target did not accept them. */
  | "refused";

/** What is known about the statistics of a table. */
export interface StatisticsOutlook {
  readonly table: TableName;
  /** Whether it is partitioned; its statistics are those of its partitions' rows. */
  readonly isPartitioned: boolean;
  /** Whether it has partitions or child tables, whose rows its statistics describe too. */
  readonly hasChildren: boolean;
  /** Its indexes with expressions, which have statistics too; in the table's schema. */
  readonly indexes: readonly string[];
  /** Their size as stored, which may be compressed. */
  readonly bytes: number;
  /** Why the whole table is analyzed; undefined if at most `columns` are. */
  readonly reason: AnalyzeReason | undefined;
  /** Columns that are analyzed, and why. */
  readonly columns: readonly { readonly name: string; readonly reason: AnalyzeReason }[];
}

const condition =
  `n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', ${ownSchemaList})`;

const statement = (majorVersion: number) => `
  WITH own_table AS (${ownTables(condition)}
  ), expected AS (${expectedStatistics(majorVersion, condition)}
  ), found AS (
    SELECT e.table_oid, e.name, e.is_index, e.attnum, e.attname, s.schemaname IS NOT NULL AS exists,
           coalesce(e.untold, CASE WHEN s.schemaname IS NULL THEN 'missing' END) AS reason,
           coalesce(pg_catalog.pg_column_size(s.most_common_vals), 0)
             + coalesce(pg_catalog.pg_column_size(s.histogram_bounds), 0)
             + coalesce(pg_catalog.pg_column_size(s.most_common_elems), 0) AS bytes
      FROM expected AS e
      LEFT JOIN pg_catalog.pg_stats AS s
        ON s.schemaname = e.schema AND s.tablename = e.name AND s.attname = e.attname
       AND s.inherited = e.inherited
  ), summary AS (
    SELECT table_oid, pg_catalog.bool_or(exists) AS some, pg_catalog.sum(bytes)::pg_catalog.float8 AS bytes,
           pg_catalog.bool_or(reason = 'unreadable') AS unreadable,
           pg_catalog.min(reason) FILTER (WHERE is_index) AS of_index,
           pg_catalog.json_agg(DISTINCT name) FILTER (WHERE is_index) AS indexes,
           pg_catalog.json_agg(pg_catalog.json_build_object('name', attname, 'reason', reason) ORDER BY attnum)
             FILTER (WHERE reason IS NOT NULL AND NOT is_index) AS columns
      FROM found
     GROUP BY table_oid
  )
  SELECT t.schema, t.name, t.kind = 'p' AS is_partitioned, t.has_children, coalesce(s.bytes, 0) AS bytes,
         CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_statistic_ext AS x WHERE x.stxrelid = t.oid) THEN 'extended'
              WHEN s.some THEN s.of_index
              WHEN s.unreadable THEN 'unreadable'
              WHEN s.table_oid IS NOT NULL AND s.columns IS NOT NULL THEN 'never-analyzed' END AS reason,
         coalesce(s.columns, '[]') AS columns, coalesce(s.indexes, '[]') AS indexes
    FROM own_table AS t
    LEFT JOIN summary AS s ON s.table_oid = t.oid
   ORDER BY t.schema COLLATE pg_catalog."C", t.name COLLATE pg_catalog."C"`;

type OutlookRow = TableName & {
  readonly is_partitioned: boolean;
  readonly has_children: boolean;
  readonly bytes: number;
  readonly reason: AnalyzeReason | null;
  readonly columns: StatisticsOutlook["columns"];
  readonly indexes: readonly string[];
};

/** Larger statistics are collected again: both sides hold a table's statistics in memory. */
const maxTableBytes = 32 * 1024 ** 2;

/**
 * What is known about the statistics of ordinary and partitioned tables, by `tableKey`; without
 * reading any values.
 */
export async function readStatisticsOutlook(
  session: Session,
): Promise<ReadonlyMap<string, StatisticsOutlook>> {
  const rows = await session.query<OutlookRow>(statement(session.majorVersion), [], {
    resultBytes: catalogResultBytes,
  });
  return new Map(rows.map((row) => {
    const table = { schema: row.schema, name: row.name };
    return [tableKey(table), {
      table,
      isPartitioned: row.is_partitioned,
      hasChildren: row.has_children,
      indexes: row.indexes,
      bytes: row.bytes,
      reason: row.reason ?? (row.bytes > maxTableBytes ? "large" : undefined),
      columns: uniqueColumns(row.columns),
    }];
  }));
}

/** A column with statistics of its own and inherited ones is listed twice. */
function uniqueColumns(columns: StatisticsOutlook["columns"]): StatisticsOutlook["columns"] {
  const byName = new Map(columns.map((column) => [column.name, column]));
  return byName.size === columns.length ? columns : [...byName.values()];
}
