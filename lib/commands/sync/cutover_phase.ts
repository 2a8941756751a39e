/**
 * What a cutover leaves for `sync` to do. After a switch the streams to the target are stopped on
 * purpose: to start them would return to the target, as changes of the source, what the way back
 * has brought there.
 *
 * @module
 */
import { type EventSink, ExitCode, ReplicatorError, retry } from "../../core/internal.ts";
import { openSession, type Session } from "../../postgres/internal.ts";
import {
  contradictionMessage,
  contradictionRemedy,
  type CutoverPhase,
  describeUnfinished,
  interruptedSwitch,
  observeSide,
  readSide,
  restoreIfTurning,
  routeBetween,
  type SideRecord,
  type SideRecords,
  type UnfinishedSwitch,
  unfinishedSwitchRemedy,
  visiblePhase,
  withoutCutover,
} from "../../cutover/internal.ts";
import { readAppliers } from "../../replication/internal.ts";
import type { ReplicationStatus } from "./replication_status.ts";

/** The streams to the target are stopped, or it is not known whether they may run. */
const stoppedPhases: ReadonlySet<CutoverPhase> = new Set([
  "closing",
  "switched",
  "returning",
  "finished",
  "contradictory",
]);

/** What the records of a database's cutover say. */
interface CutoverState {
  readonly phase: CutoverPhase;
  /** Undefined if one of them could not be read. */
  readonly records: SideRecords | undefined;
}

/**
 * Reads the phase of a database's cutover. Where its role may not read the records, running streams
 * show that no cutover has switched.
 *
 * @param areRunning whether all streams to the target are enabled; asked only then
 * @throws ReplicatorError if the records cannot be read, and a cutover may have stopped a stream
 */
async function readState(
  { from, to }: { readonly from: Session; readonly to: Session },
  areRunning: () => boolean | Promise<boolean>,
): Promise<CutoverState> {
  const [here, there] = [await readVisible(from), await readVisible(to)];
  const records = "refusal" in here || "refusal" in there
    ? undefined
    : { source: here.record, target: there.record };
  const phase = visiblePhase({
    source: "refusal" in here ? undefined : here,
    target: "refusal" in there ? undefined : there,
  });
  if (phase !== undefined) return { phase, records };
  const isRunning = await areRunning();
  for (const side of [here, there]) if ("refusal" in side && !isRunning) throw side.refusal;
  return { phase: "none", records: undefined };
}

/**
 * Changes streams to the target, or copies tables there, while no cutover command works on the
 * database: one that is turning the streams around has stopped some of them on purpose, and tables
 * of a target in use must not be overwritten.
 *
 * @param options sessions on both sides; `to` makes the changes
 * @throws ReplicatorError if a command is working on the database, has switched it since it was
 * read, or was interrupted
 */
export async function whileNotSwitching<Result>(
  status: ReplicationStatus,
  { from, to }: { readonly from: Session; readonly to: Session },
  work: (phase: CutoverPhase) => Promise<Result>,
): Promise<Result> {
  return await withoutCutover(to, async () => {
    const { phase, records } = await readState({ from, to }, async () => {
      const running = (await readAppliers(to)).filter(({ enabled }) => enabled);
      const names = new Set(running.map(({ name }) => name));
      return status.streams.length > 0 && status.streams.every(({ name }) => names.has(name));
    });
    if (stoppedPhases.has(phase)) throw stopped(status, phase);
    const interrupted = records && interruptedSwitch(records);
    if (interrupted?.isTurning === true) {
      throw interruptedNow(status, { ...interrupted, isRunning: false });
    }
    return await work(phase);
  });
}

async function readVisible(
  session: Session,
): Promise<{ readonly record: SideRecord | undefined } | { readonly refusal: ReplicatorError }> {
  const { hiddenOwner, distrust } = await observeSide(session);
  return hiddenOwner !== undefined && distrust !== undefined
    ? { refusal: distrust }
    : { record: await readSide(session) };
}

/**
 * Finds the databases whose streams a cutover has stopped. Streams that an interrupted switch was
 * turning around are restored first: the side in use replicates to the other one again.
 *
 * @returns those whose streams this tool applies and a rollback would start: they wait
 * @throws ReplicatorError if `sync` has nothing to do for a switched database
 */
export async function findWaiting(
  statuses: readonly ReplicationStatus[],
  { followsOnly, signal, events }: {
    /** Whether nothing but following was requested: no copy, retry or skip. */
    readonly followsOnly: boolean;
    readonly signal: AbortSignal;
    readonly events: EventSink;
  },
): Promise<ReadonlySet<ReplicationStatus>> {
  const waiting = new Set<ReplicationStatus>();
  for (const status of statuses) {
    const { source, target } = status;
    await using from = await retry(() => openSession(source, { signal }), { signal });
    await using to = await retry(() => openSession(target, { signal }), { signal });
    const { phase, records } = await readState(
      { from, to },
      () =>
        status.streams.length > 0 &&
        status.streams.every(({ applier }) => applier?.enabled === true),
    );
    if (records !== undefined) await restore({ source, target, records }, events);
    if (!stoppedPhases.has(phase)) continue;
    const isApplied = status.streams.some(({ applier }) => applier?.kind === "client");
    const mayReturn = phase !== "finished" && phase !== "contradictory";
    if (!mayReturn || !isApplied || !followsOnly) throw stopped(status, phase);
    waiting.add(status);
  }
  return waiting;
}

/** Restores what an interrupted switch was turning around. */
async function restore(
  database: Parameters<typeof routeBetween>[0],
  events: EventSink,
): Promise<void> {
  const interrupted = interruptedSwitch(database.records);
  if (interrupted?.isTurning !== true) return;
  const { command, inUse } = interrupted;
  await restoreIfTurning(routeBetween(database, command));
  events({
    kind: "warning",
    side: inUse,
    object: `database ${database[inUse].database}`,
    message:
      `cutover ${command} was interrupted while it turned replication around: the streams are restored, and the ${inUse} remains in use`,
    remedy: `to switch, run cutover ${command} again`,
  });
}

/** A switch was interrupted since the streams were restored. */
function interruptedNow(
  { target }: ReplicationStatus,
  unfinished: UnfinishedSwitch,
): ReplicatorError {
  return new ReplicatorError(describeUnfinished(unfinished), {
    side: "target",
    object: `database ${target.database}`,
    remedy: unfinishedSwitchRemedy(unfinished),
    exitCode: ExitCode.prerequisite,
  });
}

function stopped({ source, target }: ReplicationStatus, phase: CutoverPhase): ReplicatorError {
  const [message, remedy] = explain(phase, source.database);
  return new ReplicatorError(message, {
    side: "target",
    object: `database ${target.database}`,
    remedy,
    exitCode: ExitCode.prerequisite,
  });
}

function explain(phase: CutoverPhase, source: string): readonly [string, string] {
  switch (phase) {
    case "contradictory":
      return [contradictionMessage, contradictionRemedy];
    case "finished":
      return [
        "the cutover is finished: the target is in use, and nothing is replicated to it any longer",
        "run cleanup once the source is no longer needed; copying again would overwrite the database in use",
      ];
    default:
      return [
        `a cutover has switched from ${source} to the target: its streams are stopped on purpose`,
        "see cutover status; cutover rollback starts them again, cutover finish ends them",
      ];
  }
}
