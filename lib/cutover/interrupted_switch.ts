/**
 * What a switch leaves that ends before its point of no return: the only place that decides what it
 * means, for every command.
 *
 * @module
 */
import type { Side } from "../core/internal.ts";
import { isCutoverLocked } from "./lock.ts";
import { phaseOf, type SideRecords } from "./model.ts";
import type { DatabaseRoute } from "./route.ts";
import type { Session } from "../postgres/internal.ts";

/**
 * A switch that has changed a database and neither closed it nor undone the change: it is running,
 * or it was interrupted. The side in use is open, and the phase is the one in which the switch
 * began.
 */
export interface InterruptedSwitch {
  /** Its command: the same one restores what it left, and begins again. */
  readonly command: "run" | "rollback";
  /** The side in use. */
  readonly inUse: Side;
  /**
   * Whether the streams are being reversed: any of them may be stopped or started, on purpose.
   * To start one without stopping its counterpart would replicate in both directions.
   */
  readonly isTurning: boolean;
  /** Whether new sessions of the side in use are read-only by default (`--fence sessions`). */
  readonly isClosing: boolean;
}

/** Decides it from the records of both sides; undefined if there is nothing to restore. Pure. */
export function interruptedSwitch({ source, target }: SideRecords): InterruptedSwitch | undefined {
  const phase = phaseOf({ source, target });
  if (phase !== "prepared" && phase !== "switched") return undefined;
  const isRun = phase === "prepared";
  const [from, to] = isRun ? [source, target] : [target, source];
  const isTurning = to?.details.isTurning === true;
  const isClosing = from?.details.isClosing === true;
  if (!isTurning && !isClosing) return undefined;
  return {
    command: isRun ? "run" : "rollback",
    inUse: isRun ? "source" : "target",
    isTurning,
    isClosing,
  };
}

/** The records of a route by their sides. Pure. */
export function sideRecordsOf({ from, fromRecord, toRecord }: DatabaseRoute): SideRecords {
  return from.side === "source"
    ? { source: fromRecord, target: toRecord }
    : { source: toRecord, target: fromRecord };
}

/** A switch that has changed a database and is running, or was interrupted. */
export interface UnfinishedSwitch extends InterruptedSwitch {
  /** Whether it may still undo or complete it. */
  readonly isRunning: boolean;
}

/** Decides it, and reads from either side whether the switch is running. */
export async function readUnfinishedSwitch(
  records: SideRecords,
  session: Session,
): Promise<UnfinishedSwitch | undefined> {
  const found = interruptedSwitch(records);
  return found === undefined ? undefined : { ...found, isRunning: await isCutoverLocked(session) };
}

/** What was found, in one sentence. */
export function describeUnfinished(
  { command, inUse, isTurning, isRunning }: UnfinishedSwitch,
): string {
  const what = isTurning ? "turns replication around" : `closes the ${inUse}`;
  if (isRunning) return `a command is working on the cutover: ${command} ${what}`;
  return isTurning
    ? `cutover ${command} was interrupted while it turned replication around: the ${inUse} is in use, and its changes do not reach the other side`
    : `cutover ${command} was interrupted while it closed the ${inUse}: it is in use, but new sessions are read-only`;
}

/** What to do about it. */
export function unfinishedSwitchRemedy(
  { command, isTurning, isRunning }: UnfinishedSwitch,
): string {
  if (isRunning) return "wait until it ends";
  if (!isTurning) {
    return "run the same command again; or cutover prepare or cleanup, which let clients write";
  }
  return `run cutover ${command} again, which restores the streams before it asks${
    command === "run" ? "; or sync, which only restores them" : ""
  }; start no stream by hand`;
}
