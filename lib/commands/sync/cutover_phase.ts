/**
 * What a cutover leaves for `sync` to do. After a switch the streams to the target are stopped on
 * purpose: to start them would return to the target, as changes of the source, what the way back
 * has brought there.
 *
 * @module
 */
import { ExitCode, ReplicatorError, retry } from "../../core/internal.ts";
import { openSession, type Session } from "../../postgres/internal.ts";
import { type CutoverPhase, type SideRecord, visiblePhase } from "../../cutover/model.ts";
import { observeSide, readSide } from "../../cutover/own_schema.ts";
import type { ReplicationStatus } from "./replication_status.ts";

const switchedPhases: ReadonlySet<CutoverPhase> = new Set([
  "closing",
  "switched",
  "returning",
  "finished",
]);

/**
 * Reads the phase of a database's cutover. Where its role may not read the records, running streams
 * show that no cutover has switched.
 *
 * @throws ReplicatorError if the records cannot be read, and a cutover may have stopped a stream
 */
async function readPhase(
  { source, target, streams }: Pick<ReplicationStatus, "source" | "target" | "streams">,
  signal: AbortSignal,
): Promise<CutoverPhase> {
  await using from = await retry(() => openSession(source, { signal }), { signal });
  await using to = await retry(() => openSession(target, { signal }), { signal });
  const [here, there] = [await readVisible(from), await readVisible(to)];
  const phase = visiblePhase({
    source: "refusal" in here ? undefined : here,
    target: "refusal" in there ? undefined : there,
  });
  if (phase !== undefined) return phase;
  const isRunning = streams.length > 0 && streams.every(({ applier }) => applier?.enabled === true);
  for (const side of [here, there]) if ("refusal" in side && !isRunning) throw side.refusal;
  return "none";
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
 * Tells databases whose streams may be started from those that a cutover has switched.
 *
 * @returns those whose streams this tool applies and a rollback would start: they wait
 * @throws ReplicatorError if `sync` has nothing to do for a switched database
 */
export async function findWaiting(
  statuses: readonly ReplicationStatus[],
  { followsOnly, signal }: {
    /** Whether nothing but following was requested: no copy, retry or skip. */
    readonly followsOnly: boolean;
    readonly signal: AbortSignal;
  },
): Promise<ReadonlySet<ReplicationStatus>> {
  const waiting = new Set<ReplicationStatus>();
  for (const status of statuses) {
    const phase = await readPhase(status, signal);
    if (!switchedPhases.has(phase)) continue;
    const isApplied = status.streams.some(({ applier }) => applier?.kind === "client");
    if (phase === "finished" || !isApplied || !followsOnly) throw switched(status, phase);
    waiting.add(status);
  }
  return waiting;
}

function switched({ source, target }: ReplicationStatus, phase: CutoverPhase): ReplicatorError {
  return new ReplicatorError(
    phase === "finished"
      ? "the cutover is finished: the target is in use, and nothing is replicated to it any longer"
      : `a cutover has switched from ${source.database} to the target: its streams are stopped on purpose`,
    {
      side: "target",
      object: `database ${target.database}`,
      remedy: phase === "finished"
        ? "run cleanup once the source is no longer needed; copying again would replace what is in use"
        : "see cutover status; cutover rollback starts them again, cutover finish ends them",
      exitCode: ExitCode.prerequisite,
    },
  );
}
