/**
 * Which tables to copy again, or to add.
 *
 * @module
 */
import { type Problem, UsageError } from "../../core/internal.ts";
import type { Table } from "../../catalog/internal.ts";
import {
  matchesTable,
  nearMisses,
  readRulePattern,
  type TablePattern,
} from "../../rules/internal.ts";
import type { CopyAction } from "../shared/run.ts";
import type { ReplicationStatus } from "./replication_status.ts";

/** The tables of a database to copy. */
export interface ChosenTables {
  readonly status: ReplicationStatus;
  readonly tables: readonly Table[];
}

/**
 * Selects tables by patterns.
 *
 * @throws UsageError with every pattern that matches nothing
 */
export function chooseTables(
  statuses: readonly ReplicationStatus[],
  { tables, areNew }: CopyAction,
): readonly ChosenTables[] {
  const path = areNew ? "--add-tables" : "--resnapshot";
  const problems: Problem[] = [];
  const patterns = tables.flatMap((text): { text: string; pattern: TablePattern }[] => {
    if (text === "*") {
      return [{ text, pattern: { database: undefined, schema: ["", ""], table: ["", ""] } }];
    }
    const reading = readRulePattern(text);
    if ("value" in reading) return [{ text, pattern: reading.value }];
    problems.push({ path, message: reading.problem });
    return [];
  });
  const offered = statuses.map((status) => ({
    status,
    tables: areNew
      ? status.appeared
      : status.tables.filter((table) => !status.appeared.includes(table)),
  }));
  // the name of a partitioned table selects its new partitions
  const matches = (status: ReplicationStatus, table: Table, pattern: TablePattern) =>
    [table, ...(areNew && table.partitionRoot !== undefined ? [table.partitionRoot] : [])].some((
      { schema, name },
    ) => matchesTable(pattern, { database: status.source.database, schema, name }));
  for (const { text, pattern } of patterns) {
    if (
      offered.some(({ status, tables }) => tables.some((t) => matches(status, t, pattern)))
    ) continue;
    const names = offered.flatMap(({ status, tables }) =>
      tables.map(({ schema, name }) => ({ database: status.source.database, schema, name }))
    );
    problems.push({
      path,
      message: `"${text}" matches no table ${
        areNew
          ? "that is new on the source and missing on the target"
          : "that exists on both sides and is included by the rules"
      }${didYouMean(pattern, names)}`,
    });
  }
  if (problems.length > 0) throw new UsageError(problems);
  return offered.map(({ status, tables }) => ({
    status,
    tables: tables.filter((table) =>
      patterns.some(({ pattern }) => matches(status, table, pattern))
    ),
  })).filter(({ tables }) => tables.length > 0);
}

function didYouMean(
  pattern: TablePattern,
  names: readonly { readonly database: string; readonly schema: string; readonly name: string }[],
): string {
  const near = nearMisses(pattern, names);
  return near.length === 0 ? "" : `; did you mean ${near.join(" or ")}?`;
}
