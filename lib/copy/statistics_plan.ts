/**
 * Which tables get the source's statistics, and which are analyzed. Pure.
 *
 * @module
 */
import { plural, tableKey, type TableName } from "../core/internal.ts";
import type { TableScope } from "../rules/internal.ts";
import type { AnalyzeReason, StatisticsOutlook, Table } from "../catalog/internal.ts";

/** A table that is analyzed, or some of its columns. */
export type CollectedTable = TableName & {
  /** Absent for the whole table. */
  readonly columns?: readonly string[];
  /** Why it does not get the source's statistics. */
  readonly reason: AnalyzeReason;
};

/** Where the statistics of a database come from. */
export interface StatisticsSummary {
  /**
   * `source`: from the source where possible; `analyze`: from ANALYZE on the target; `none`:
   * nothing is done.
   */
  readonly from: "source" | "analyze" | "none";
  /** Tables with the source's statistics. */
  readonly carried: number;
  /** With `source`: the tables that are analyzed, and why. */
  readonly analyzed: readonly CollectedTable[];
}

/** What decides about tables besides their statistics. */
export interface CopyExtent {
  /** Tables all of whose rows are copied, by `tableKey`. */
  readonly complete: ReadonlySet<string>;
  /** Whether rules leave anything out, which partitioned tables and parents would notice. */
  readonly hasRules: boolean;
}

/** What is copied of these tables; without a scope, all rows. */
export function extentOf(
  tables: readonly Table[],
  scope: TableScope | undefined,
): CopyExtent {
  const complete = tables.filter((table) =>
    !table.extensionCondition && (scope?.hasRows(table) ?? true) &&
    scope?.predicateOf(table) === undefined
  );
  return {
    complete: new Set(complete.map(tableKey)),
    hasRules:
      scope?.tables.some(({ table, decision }) =>
        table.extension === undefined && decision.outcome !== "copied"
      ) ?? false,
  };
}

/** What is collected of a table; undefined if it gets all statistics from the source. */
export function collectedOf(
  table: TableName,
  outlook: StatisticsOutlook | undefined,
  { complete, hasRules }: CopyExtent,
): CollectedTable | undefined {
  const { schema, name } = table;
  if (outlook === undefined) return { schema, name, reason: "materialized-view" };
  const partial = outlook.hasChildren && hasRules ||
    !outlook.isPartitioned && !complete.has(tableKey(table));
  const reason = partial ? "partial" : outlook.reason;
  if (reason !== undefined) return { schema, name, reason };
  const [first] = outlook.columns;
  if (first === undefined) return undefined;
  return { schema, name, columns: outlook.columns.map(({ name }) => name), reason: first.reason };
}

/** `38 tables from the source, 2 analyzed` */
export function describeStatistics({ from, carried, analyzed }: StatisticsSummary): string {
  if (from === "none") return "none";
  if (from === "analyze") return "ANALYZE";
  return `${plural(carried, "table")} from the source` +
    (analyzed.length === 0 ? "" : `, ${analyzed.length} analyzed`);
}

const reasonWords: Readonly<Record<AnalyzeReason, string>> = {
  "never-analyzed": "never analyzed on the source",
  "missing": "no statistics on the source",
  "unreadable": "statistics that could not be read on the source",
  "type": "statistics of types that pg_stats does not show",
  "extended": "extended statistics, which cannot be restored",
  "large": "more than 32 MB of statistics",
  "partial": "not all rows are copied",
  "materialized-view": "materialized views are computed on the target",
  "differs": "another type or collation on the target",
  "refused": "statistics that the target refused",
};

/** The reason in words. */
export function describeReason(reason: AnalyzeReason): string {
  return reasonWords[reason];
}
