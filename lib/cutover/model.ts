/**
 * What a cutover knows of one database: the record that each side keeps, and the phase that both
 * records make.
 *
 * @module
 */
import type { FenceKind } from "../config/internal.ts";
import { type Side, tableKey, type TableName } from "../core/internal.ts";
import type { DatabaseRef } from "../replication/internal.ts";

/**
 * The phases of a cutover, for one database. All of them are durable: they follow from the records
 * on both sides ({@linkcode SideRecord}), each of which is committed in the transaction that opens
 * or closes its side.
 *
 * | phase | source | target | set by | a crash leaves |
 * |---|---|---|---|---|
 * | `none` | open | open | `cleanup` | nothing to undo |
 * | `preparing` | open | open | `prepare`, before the target is fenced | objects that `prepare` completes or `cleanup` removes |
 * | `prepared` | open | closed | `prepare`; `rollback` | the source in use; `run` starts over |
 * | `closing` | closed | closed | `run`, the commit that is the point of no return | no writes anywhere; `run` opens the target, `rollback` the source |
 * | `switched` | closed | open | `run` | the target in use |
 * | `returning` | closed | closed | `rollback`, its point of no return | no writes anywhere; `rollback` opens the source, `run` the target |
 * | `finished` | closed | open | `finish` | the target in use, without a way back |
 * | `contradictory` | any | any | an interrupted `cleanup`; changes by hand | records that do not show which side is in use; `cleanup` removes them |
 */
export const cutoverPhases = [
  "none",
  "preparing",
  "prepared",
  "closing",
  "switched",
  "returning",
  "finished",
  "contradictory",
] as const;

/** One of {@linkcode cutoverPhases}. */
export type CutoverPhase = typeof cutoverPhases[number];

/** What closing a side proved. Stored with the record of the side, in the same transaction. */
export interface CloseEvidence {
  /**
   * When the tokens had arrived and the sequences were set, shortly before the close was committed:
   * an ISO timestamp of the client.
   */
  readonly closedAt: string;
  /**
   * When writers began to wait for the barrier: an ISO timestamp of the side's server. Null in
   * records of earlier versions.
   */
  readonly heldSince: string | null;
  /** One token for each stream: sent on the closed side, seen on the other. */
  readonly tokens: readonly TokenEvidence[];
  /** Sequences that were set on the other side. */
  readonly sequences: number;
  /** Large objects that were compared with the other side, and copied if they had changed. */
  readonly largeObjects: number;
  /** What the fence cannot stop, or was not compared. */
  readonly unchecked: readonly string[];
}

/** The journey of one token. */
export interface TokenEvidence {
  /** Its name. */
  readonly stream: string;
  /** A random UUID. */
  readonly id: string;
  /** End of the WAL once the token was inserted, `16/B374D848`. */
  readonly lsn: string;
  /** Milliseconds until it was visible on the other side. */
  readonly ms: number;
}

/** What a side records besides whether it is open. */
export interface SideDetails {
  /** The version of this format. */
  readonly version: 1;
  /** Which side of the migration the record belongs to. */
  readonly side: Side;
  readonly source: DatabaseRef;
  readonly target: DatabaseRef;
  /** Names, on the source, of the databases that are closed and opened together. */
  readonly databases: readonly string[];
  /** Streams from the source to the target. */
  readonly forward: readonly string[];
  /** The stream from the target to the source; null without a way back. */
  readonly back: string | null;
  /** Tables with a fence. */
  readonly tables: readonly TableName[];
  /** Tables of this side whose changes no stream carried when it was prepared. */
  readonly leftOut: readonly TableName[];
  /** Whether `prepare` has completed. */
  readonly isPrepared: boolean;
  /** Whether `finish` has removed the way back. */
  readonly isFinished: boolean;
  /**
   * Whether a switch is turning the streams around, on the record of the side that it will open.
   * Set before the first stream is stopped; if the switch dies, the next command restores them.
   * Read through {@linkcode interruptedSwitch}, which decides what it means.
   */
  readonly isTurning: boolean;
  /**
   * Whether what follows the opening of this side (hooks, ending sessions) has been done; otherwise
   * the same command does it.
   */
  readonly isSettled: boolean;
  /** How this side is closed; without a value by triggers. */
  readonly fence?: FenceKind | undefined;
  /**
   * Whether a side without triggers is being closed: new sessions are read-only by default, and the
   * side is still the one in use. The next command completes it or takes it back. Read through
   * {@linkcode interruptedSwitch}.
   */
  readonly isClosing?: boolean | undefined;
  /**
   * Identifies the command that opened or closed this side last. Without a value in records of
   * earlier versions, and before the first switch.
   */
  readonly movedBy?: string | undefined;
  /** What the last close of this side proved; null before. */
  readonly evidence: CloseEvidence | null;
}

/** The record of one side, in the tool's schema of its database. */
export interface SideRecord {
  /** Identifies the cutover; the same on both sides and in all of its databases. */
  readonly id: string;
  /** Whether the side accepts writes. */
  readonly isOpen: boolean;
  /** Counts how often either side was closed: the higher one closed last. */
  readonly generation: number;
  /** ISO timestamp. */
  readonly changedAt: string;
  readonly details: SideDetails;
}

/** The records of both sides. */
export interface SideRecords {
  readonly source: SideRecord | undefined;
  readonly target: SideRecord | undefined;
}

/** The phase of a database. Pure. */
export function phaseOf({ source, target }: SideRecords): CutoverPhase {
  if (source === undefined && target === undefined) return "none";
  if (source?.details.isFinished === true) return "finished";
  if (target?.details.isFinished === true) return "finished";
  if (isContradictory({ source, target })) return "contradictory";
  if (source === undefined || target === undefined || !target.details.isPrepared) {
    return "preparing";
  }
  if (source.isOpen) return "prepared";
  if (target.isOpen) return "switched";
  return source.generation > target.generation ? "closing" : "returning";
}

/** What the phase `contradictory` is, in one sentence. */
export const contradictionMessage =
  "the records of the cutover contradict each other, as an interrupted cleanup leaves them: they do not show which side is in use";

/** What to do about it. */
export const contradictionRemedy =
  "run cleanup, which removes the fences and the records of both sides; until then let clients write to one side only";

/**
 * Whether no command leaves these records, complete or interrupted, other than `cleanup`. A target
 * that is prepared and open is in use, and the source was closed before; a closed source has a
 * prepared target.
 */
function isContradictory({ source, target }: SideRecords): boolean {
  // a database in a chain: one of the records belongs to the cutover with its other neighbour
  if (source?.details.side === "target" || target?.details.side === "source") return false;
  const isTargetPrepared = target?.details.isPrepared === true;
  const isTargetInUse = isTargetPrepared && target.isOpen;
  return source?.isOpen === false ? !isTargetPrepared : isTargetInUse;
}

/** A record that may not have been read, because its side could not be reached. */
export type VisibleRecord = { readonly record: SideRecord | undefined } | undefined;

/**
 * The phase, as far as the records that could be read prove it; undefined if they do not. Pure.
 *
 * @param sides undefined for a side that could not be read
 */
export function visiblePhase(
  { source, target }: { readonly source: VisibleRecord; readonly target: VisibleRecord },
): CutoverPhase | undefined {
  if (source !== undefined && target !== undefined) {
    return phaseOf({ source: source.record, target: target.record });
  }
  if (source?.record?.details.isFinished === true) return "finished";
  // an open target has been prepared and opened again: the source was closed before that
  const { isOpen, details } = target?.record ?? {};
  return isOpen === true && details?.isPrepared === true ? "switched" : undefined;
}

/**
 * Whether two readings of a side's record, or of its absence, show the same state and the same
 * objects: what a switch has done afterwards, such as hooks, does not count. Pure.
 */
export function isSameState(a: SideRecord | undefined, b: SideRecord | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return stateText(a) === stateText(b);
}

function stateText({ id, isOpen, generation, details }: SideRecord): string {
  const { databases, forward, back, tables, isPrepared, isFinished, isTurning } = details;
  return JSON.stringify([
    ...[id, isOpen, generation, databases, forward, back],
    tables.map((table) => tableKey(table)),
    ...[isPrepared, isFinished, isTurning, fenceOf({ details })],
  ]);
}

/** Whether no command has opened or closed a side between two readings of its record. Pure. */
export function isSamePosition(a: SideRecord, b: SideRecord): boolean {
  return a.id === b.id && a.isOpen === b.isOpen && a.generation === b.generation;
}

/** How a side is closed. Pure. */
export function fenceOf(record: Pick<SideRecord, "details">): FenceKind {
  return record.details.fence ?? "triggers";
}

/** The record of a side that a command is opening. Pure. */
export function openedRecord(record: SideRecord, movedBy: string): SideRecord {
  return {
    ...record,
    isOpen: true,
    details: {
      ...record.details,
      ...{ isTurning: false, isSettled: false, isClosing: false, movedBy },
    },
  };
}

/** The record of a side whose streams are being turned around, or no longer are. Pure. */
export function withTurning(record: SideRecord, isTurning: boolean): SideRecord {
  return { ...record, details: { ...record.details, isTurning } };
}
