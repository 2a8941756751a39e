/**
 * Turning replication between the two sides around.
 *
 * @module
 */
import { pause, retry } from "../core/internal.ts";
import { openSession, type Session } from "../postgres/internal.ts";
import { openApplier } from "../replication/internal.ts";
import { advanceSlot, ensureSlot } from "./back_stream.ts";
import type { DatabaseRoute } from "./route.ts";
import { sendToken } from "./token.ts";

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
    const waking = wake(sender, name, stopped);
    await stopped;
    await waking;
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

/** A slot that was lost meanwhile is created again while both sides are closed. */
const slotTimeoutMs = 10_000;

/** Reverses the streams of a closed database, unless that has been done already. */
export async function turnAround(
  { out, back }: DatabaseRoute,
  { onFrom, onTo }: { readonly onFrom: Session; readonly onTo: Session },
): Promise<void> {
  for (const name of out) {
    await using applier = await openApplier(onTo, { name });
    if (await applier.state() === "running") await applier.stop();
  }
  for (const name of back) {
    await using applier = await openApplier(onFrom, { name });
    if (await applier.state() !== "stopped") continue;
    await ensureSlot(onTo, { name, timeoutMs: slotTimeoutMs });
    await applier.advance(await advanceSlot(onTo, name));
    await applier.start();
  }
}

/**
 * Stops the way back and starts the streams to `to`: how replication stands while `from` is open.
 */
export async function restoreStreams({ from, to, back, out }: DatabaseRoute): Promise<void> {
  await using onFrom = await retry(() => openSession(from));
  await using onTo = await retry(() => openSession(to));
  for (const name of back) {
    await using applier = await openApplier(onFrom, { name });
    if (await applier.state() === "running") await applier.stop();
  }
  for (const name of out) {
    await using applier = await openApplier(onTo, { name });
    if (await applier.state() === "stopped") await applier.start();
  }
}
