/**
 * Waits until the target has what the source has, across restarts of either.
 *
 * @module
 */
import { type EventSink, type Lsn, retry, retryEvent } from "../../core/internal.ts";
import { type Endpoint, openSession } from "../../postgres/internal.ts";
import { readWalPosition, waitForLsn, type WaitForLsnOptions } from "../../replication/internal.ts";

/** What is waited for. */
export interface CatchUpOptions extends Pick<WaitForLsnOptions, "isAwaited" | "onFailure"> {
  /** The database on the source. */
  readonly source: Endpoint;
  /** The database on the target. */
  readonly target: Endpoint;
  readonly subscriptions: readonly string[];
  readonly signal: AbortSignal;
  readonly events: EventSink;
}

/** Pauses while a server is unavailable. */
const delaysMs: readonly number[] = [500, 1_000, 2_000, 4_000, 8_000, 15_000, 30_000, 30_000];
const resetAfterMs = 30_000;

/**
 * Waits until everything that is committed on the source at the start has been applied. Retries
 * while a server restarts.
 *
 * @returns the position of the source that was awaited
 * @throws ReplicatorError if the position cannot be reached, or a server stays unavailable
 */
export async function catchUp(options: CatchUpOptions): Promise<Lsn> {
  const { signal, events } = options;
  let lsn: Lsn | undefined;
  return await retry(async () => {
    lsn ??= await readEnd(options);
    await wait(options, lsn);
    return lsn;
  }, {
    delaysMs,
    resetAfterMs,
    signal,
    onRetry: (error, attempt, delayMs) =>
      events(retryEvent({ what: "waiting for the target to catch up", error, attempt, delayMs })),
  });
}

async function readEnd({ source, signal }: CatchUpOptions): Promise<Lsn> {
  await using session = await retry(() => openSession(source, { signal }), { signal });
  return (await readWalPosition(session)).inserted;
}

async function wait({ source, target, ...options }: CatchUpOptions, lsn: Lsn): Promise<void> {
  const { signal } = options;
  await using from = await openSession(source, { signal });
  await using to = await openSession(target, { signal });
  await waitForLsn({ ...options, source: from, target: to, lsn });
}
