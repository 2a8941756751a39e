/**
 * Decides how a run resumes: which rows are kept, which are copied again, and as of which snapshot.
 * Pure.
 *
 * @module
 */
import { displayName, tableKey, type TableName } from "../core/internal.ts";
import type { LedgerState, SnapshotGeneration, SourcePoint, TableRecord } from "./model.ts";

/** Input of the decision. */
export interface ResumeFacts {
  readonly ledger: Pick<LedgerState, "generations" | "tables">;
  /** Tables whose rows are to be copied, as of the current snapshot. */
  readonly tables: readonly TableName[];
  /** The source point of the current snapshot; undefined if it is unknown. */
  readonly point: SourcePoint | undefined;
  /** Whether large objects remain to be copied. */
  readonly largeObjectsLeft: boolean;
  readonly allowMixedSnapshots: boolean;
  /** Whether replication follows, which makes all generations converge. */
  readonly sync: boolean;
}

/** How the run resumes. */
export type ResumeDecision =
  | {
    readonly kind: "go-on";
    /** The snapshot generation for the remaining rows. */
    readonly generation: number;
    /** Whether that generation begins with the current snapshot. */
    readonly begins: boolean;
    /** Completely copied tables. */
    readonly kept: readonly TableRecord[];
    /** Tables whose remaining parts are copied. */
    readonly continued: readonly TableRecord[];
    /** Partly copied tables that are emptied and copied completely. */
    readonly emptied: readonly TableName[];
    /** Tables of which nothing is copied yet. */
    readonly fresh: readonly TableName[];
    /** Whether in the end all rows are as of the current snapshot. */
    readonly asOfSnapshot: boolean;
    /**
     * The generations of all rows in the end, ascending: more than one means several snapshots of
     * the source.
     */
    readonly moments: readonly number[];
  }
  | { readonly kind: "refuse"; readonly reason: string; readonly details: readonly string[] };

/**
 * Decides.
 *
 * Parts of one table are never read from two snapshots: an UPDATE in between can move a row to
 * another range of blocks, so that it would be lost or duplicated. A partly copied table continues
 * only as of the source point of its first part; otherwise it is emptied and copied completely.
 *
 * Tables from two snapshots are each consistent, but not with each other (an order without its
 * customer). When some tables are kept and others are not, that is refused, unless the user allows
 * it or replication brings every table up to date.
 */
export function decideResume(facts: ResumeFacts): ResumeDecision {
  const { ledger, tables, point, largeObjectsLeft } = facts;
  const records = new Map(ledger.tables.map((record) => [tableKey(record), record]));
  const last = ledger.generations.at(-1);
  const same = last !== undefined && isSamePoint(last.point, point);
  const kept: TableRecord[] = [];
  const continued: TableRecord[] = [];
  const emptied: TableName[] = [];
  const fresh: TableName[] = [];
  for (const { schema, name } of tables) {
    const record = records.get(tableKey({ schema, name }));
    if (record === undefined) fresh.push({ schema, name });
    else if (isComplete(record)) kept.push(record);
    else if (same && record.generation === last.number) continued.push(record);
    else emptied.push({ schema, name });
  }
  const nothingLeft = continued.length + emptied.length + fresh.length === 0 && !largeObjectsLeft;
  const begins = last === undefined || !same && !nothingLeft;
  const generation = begins ? (last?.number ?? 0) + 1 : last.number;
  const mixes = begins && kept.length > 0;
  if (mixes && !facts.allowMixedSnapshots && !facts.sync) return refusal(facts, kept, emptied);
  const moments = [
    ...new Set([...kept.map((record) => record.generation), ...(nothingLeft ? [] : [generation])]),
  ].sort((a, b) => a - b);
  const asOfSnapshot = (begins || same) && moments.every((moment) => moment === generation);
  return {
    kind: "go-on",
    generation,
    begins,
    kept,
    continued,
    emptied,
    fresh,
    asOfSnapshot,
    moments,
  };
}

/** Whether a table is completely copied. */
export function isComplete({ parts }: TableRecord): boolean {
  const [first] = parts;
  return first !== undefined && parts.length === first.parts && parts.every(({ done }) => done);
}

/** Whether two snapshots see the same rows; false when either is unknown. */
export function isSamePoint(a: SourcePoint | undefined, b: SourcePoint | undefined): boolean {
  return a !== undefined && b !== undefined && a.serverStart === b.serverStart &&
    a.databaseOid === b.databaseOid && a.transactions === b.transactions;
}

function refusal(
  { ledger, tables }: ResumeFacts,
  kept: readonly TableRecord[],
  emptied: readonly TableName[],
): ResumeDecision {
  const since = ledger.generations.at(-1) as SnapshotGeneration;
  const names = (some: readonly TableName[]) =>
    some.slice(0, 5).map(displayName).join(", ") + (some.length > 5 ? ", …" : "");
  const keptNames = new Set(kept.map((record) => tableKey(record)));
  const left = tables.filter((table) => !keptNames.has(tableKey(table)));
  return {
    kind: "refuse",
    reason:
      "the remaining rows cannot be copied from the same snapshot: the source has changed since, and the snapshot of the first attempt no longer exists",
    details: [
      `copied as of ${since.startedAt}: ${kept.length} of ${tables.length} tables (${names(kept)})`,
      ...(left.length === 0 ? [] : [`not copied yet: ${names(left)}`]),
      ...(emptied.length === 0 ? [] : [`partly copied, to be copied again: ${names(emptied)}`]),
    ],
  };
}
