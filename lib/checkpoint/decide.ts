/**
 * How a run goes on: which rows are kept, which are copied again, as of which moment. Pure.
 *
 * @module
 */
import { displayName, tableKey, type TableName } from "../core/internal.ts";
import type { LedgerState, SnapshotGeneration, SourcePoint, TableRecord } from "./model.ts";

/** What the decision depends on. */
export interface ResumeFacts {
  readonly ledger: Pick<LedgerState, "epochs" | "tables">;
  /** Tables whose rows are to be copied, as the snapshot at hand sees them. */
  readonly tables: readonly TableName[];
  /** The moment of the snapshot at hand; undefined where the source does not tell. */
  readonly point: SourcePoint | undefined;
  /** Whether there are large objects that are not in yet. */
  readonly largeObjectsLeft: boolean;
  readonly allowMixedSnapshots: boolean;
  /** Whether replication follows, which makes all epochs converge. */
  readonly sync: boolean;
}

/** How the run goes on. */
export type ResumeDecision =
  | {
    readonly kind: "go-on";
    /** The epoch that what is left is copied in. */
    readonly epoch: number;
    /** Whether that epoch begins now, with the snapshot at hand. */
    readonly begins: boolean;
    /** Tables that are in, each with its epoch. */
    readonly kept: readonly TableRecord[];
    /** Tables of which the parts that are not done are copied. */
    readonly continued: readonly TableRecord[];
    /** Half-copied tables that are emptied and copied as a whole. */
    readonly emptied: readonly TableName[];
    /** Tables of which nothing is there yet. */
    readonly fresh: readonly TableName[];
    /** Whether all rows are, when all is done, as the snapshot at hand sees them. */
    readonly asOfSnapshot: boolean;
    /**
     * Epochs that rows are of when all is done, ascending: more than one means several moments of
     * the source.
     */
    readonly moments: readonly number[];
  }
  | { readonly kind: "refuse"; readonly reason: string; readonly details: readonly string[] };

/**
 * Decides.
 *
 * Parts of one table are never of two moments: an UPDATE between them moves a row from one range of
 * blocks to another, so it would be missing or come twice. A half-copied table goes on only as of
 * the very moment that its first part was read at; else it is emptied and copied as a whole.
 *
 * Whole tables of two moments are each right in themselves but not with each other (an order
 * without its customer). That is the case only when some tables are kept and others are not:
 * refused, unless the user allows it or replication brings every table to the present.
 */
export function decideResume(facts: ResumeFacts): ResumeDecision {
  const { ledger, tables, point, largeObjectsLeft } = facts;
  const records = new Map(ledger.tables.map((record) => [tableKey(record), record]));
  const last = ledger.epochs.at(-1);
  const same = last !== undefined && isSamePoint(last.point, point);
  const kept: TableRecord[] = [];
  const continued: TableRecord[] = [];
  const emptied: TableName[] = [];
  const fresh: TableName[] = [];
  for (const { schema, name } of tables) {
    const record = records.get(tableKey({ schema, name }));
    if (record === undefined) fresh.push({ schema, name });
    else if (isComplete(record)) kept.push(record);
    else if (same && record.epoch === last.epoch) continued.push(record);
    else emptied.push({ schema, name });
  }
  const nothingLeft = continued.length + emptied.length + fresh.length === 0 && !largeObjectsLeft;
  const begins = last === undefined || !same && !nothingLeft;
  const epoch = begins ? (last?.epoch ?? 0) + 1 : last.epoch;
  const mixes = begins && kept.length > 0;
  if (mixes && !facts.allowMixedSnapshots && !facts.sync) return refusal(facts, kept, emptied);
  const moments = [
    ...new Set([...kept.map((record) => record.epoch), ...(nothingLeft ? [] : [epoch])]),
  ].sort((a, b) => a - b);
  const asOfSnapshot = (begins || same) && moments.every((moment) => moment === epoch);
  return { kind: "go-on", epoch, begins, kept, continued, emptied, fresh, asOfSnapshot, moments };
}

/** Whether all rows of a table are in. */
export function isComplete({ parts }: TableRecord): boolean {
  const [first] = parts;
  return first !== undefined && parts.length === first.parts && parts.every(({ done }) => done);
}

/** Whether two snapshots see the same rows; false when either is not known. */
export function isSamePoint(a: SourcePoint | undefined, b: SourcePoint | undefined): boolean {
  return a !== undefined && b !== undefined && a.serverStart === b.serverStart &&
    a.databaseOid === b.databaseOid && a.transactions === b.transactions;
}

function refusal(
  { ledger, tables }: ResumeFacts,
  kept: readonly TableRecord[],
  emptied: readonly TableName[],
): ResumeDecision {
  const since = ledger.epochs.at(-1) as SnapshotGeneration;
  const names = (some: readonly TableName[]) =>
    some.slice(0, 5).map(displayName).join(", ") + (some.length > 5 ? ", …" : "");
  const keptNames = new Set(kept.map((record) => tableKey(record)));
  const left = tables.filter((table) => !keptNames.has(tableKey(table)));
  return {
    kind: "refuse",
    reason:
      "the rest cannot be copied as of the same moment: the source has been written to since, and the snapshot of the first attempt is gone",
    details: [
      `copied as of ${since.startedAt}: ${kept.length} of ${tables.length} tables (${names(kept)})`,
      ...(left.length === 0 ? [] : [`not there yet: ${names(left)}`]),
      ...(emptied.length === 0 ? [] : [`half copied, to be copied again: ${names(emptied)}`]),
    ],
  };
}
