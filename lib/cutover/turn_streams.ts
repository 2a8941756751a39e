/**
 * Turning replication between the two sides around.
 *
 * @module
 */
import { pause, ReplicatorError } from "../core/internal.ts";
import type { Session } from "../postgres/internal.ts";
import { openApplier } from "../replication/internal.ts";
import { advanceSlot, advanceSlotIfIdle, ensureSlot, flushWal } from "./back_stream.ts";
import type { DatabaseRoute } from "./route.ts";
import { sendToken } from "./token.ts";
import { closedSideOf, describeLateChanges, readForeignChanges } from "./tripwire.ts";

/**
 * Stops streams while their side is in use. A token wakes appliers that wait for changes: before 16
 * they do not notice.
 *
 * @param session on the side where they arrive
 * @param options `sender`: a session on the side that they leave
 */
export async function stopStreams(
  session: Session,
  { streams, sender, signal }: {
    readonly streams: readonly string[];
    readonly sender: Session;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  // one after another: each stops in transactions of its own, and they share the session
  for (const name of streams) {
    await using applier = await openApplier(session, { name, signal });
    const stopped = applier.stop();
    // a process of the tool is ended by its lock, and its stream would skip the tokens
    if (applier.kind === "subscription") await wake(sender, name, stopped);
    await stopped;
  }
}

const wakePauseMs = 20;

async function wake(sender: Session, stream: string, until: Promise<void>): Promise<void> {
  let isOver = false;
  const over = () => {
    isOver = true;
  };
  until.then(over, over);
  while (!isOver) {
    await pause(wakePauseMs);
    if (!isOver && sender.isOpen) await sendToken(sender, stream).catch(over);
  }
}

/** Otherwise a worker that does not end would keep both sides closed without a word. */
const stopTimeoutMs = 30_000;

/** A slot that was lost meanwhile is created again while both sides are closed. */
const slotTimeoutMs = 10_000;

/** Reverses the streams of a closed database, unless that has been done already. */
export async function turnAround(
  { out, back, fromRecord, toRecord }: DatabaseRoute,
  { onFrom, onTo }: { readonly onFrom: Session; readonly onTo: Session },
): Promise<void> {
  // the switch is taken back: replication has brought nothing to `to` since it was closed, so that
  // nothing has to be skipped, and what a session has written there nevertheless must be carried
  const isTakenBack = toRecord.generation > fromRecord.generation;
  for (const name of out) {
    await using applier = await openApplier(onTo, { name, stopTimeoutMs });
    if (await applier.state() === "running") await applier.stop();
  }
  for (const name of back) {
    await using applier = await openApplier(onFrom, { name });
    if (await applier.state() !== "stopped") continue;
    await ensureSlot(onTo, { name, timeoutMs: slotTimeoutMs });
    if (!isTakenBack) await applier.advance(await advanceSlot(onTo, name));
    await applier.start();
  }
}

/**
 * Lets the slots of the way back skip what replication has brought to the side that will be opened,
 * and nothing else.
 *
 * @param session on that side
 * @throws ReplicatorError that names the tables in which something else was written
 */
export async function skipReplicated(route: DatabaseRoute, session: Session): Promise<void> {
  if (await refuseForeignChanges(route, session, { advances: true })) return;
  for (const name of route.back) await advanceSlotIfIdle(session, name);
}

/**
 * Refuses to skip changes that were made on the side which will be opened, while it was closed: no
 * stream would carry them.
 *
 * @param session on that side
 * @param options `advances`: whether the slots advance past what was checked
 * @returns whether it is known that there are none
 * @throws ReplicatorError that names the tables
 */
export async function refuseForeignChanges(
  { to, toRecord }: DatabaseRoute,
  session: Session,
  { advances = false }: { readonly advances?: boolean } = {},
): Promise<boolean> {
  if (toRecord.isOpen) return false;
  await flushWal(session);
  const changes = await readForeignChanges(session, closedSideOf(toRecord), { advances });
  if (!changes.isKnown) return false;
  if (changes.found.length === 0) return true;
  throw new ReplicatorError("the side that is opened was written to while it was closed", {
    side: to.side,
    object: `database ${to.database}`,
    details: [describeLateChanges(changes.found)],
    remedy: "run the same command again: it shows what to do about these changes",
  });
}

/**
 * Stops the way back and starts the streams to `to`: how replication stands while `from` is open.
 *
 * @param sessions hold the lock of both sides
 */
export async function restoreStreams(
  { back, out }: Pick<DatabaseRoute, "back" | "out">,
  { onFrom, onTo }: { readonly onFrom: Session; readonly onTo: Session },
): Promise<void> {
  for (const name of back) {
    await using applier = await openApplier(onFrom, { name, stopTimeoutMs });
    if (await applier.state() === "running") await applier.stop();
  }
  for (const name of out) {
    await using applier = await openApplier(onTo, { name });
    if (await applier.state() === "stopped") await applier.start();
  }
}
