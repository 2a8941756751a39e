import { retry } from "../../core/internal.ts";
import { type Endpoint, openSession, type SessionPool } from "../../postgres/internal.ts";
import { migrate } from "../store/mod.ts";
import { JobQueue } from "./job_queue.ts";
import type { QueueSettings } from "./settings.ts";

/** Settings of {@linkcode openQueue}. */
export interface QueueOpening {
  /** The service's database. */
  readonly database: Endpoint;
  /** Sessions on it. */
  readonly pool: SessionPool;
  readonly settings: QueueSettings;
  /** Aborts waiting for the database. */
  readonly signal: AbortSignal;
  /** Called with errors of background work. */
  readonly onError: (error: unknown) => void;
  /** Called before each pause, with the reason why the database cannot be used yet. */
  readonly onWait: (error: unknown, delayMs: number) => void;
  /** Pauses between attempts; the last one is repeated. */
  readonly delaysMs?: readonly number[];
}

/**
 * Starting a database takes seconds; restoring one takes hours, during which it is tried four times
 * a minute.
 */
const defaultDelaysMs: readonly number[] = [500, 1_000, 2_000, 4_000, 8_000, 15_000];

/**
 * Waits for the service's database, migrates its tables, and opens the queue. Machines may start in
 * any order: transient errors are retried, but not a rejected password or a missing database.
 *
 * @throws permanent errors; the signal's reason
 */
export async function openQueue(opening: QueueOpening): Promise<JobQueue> {
  const { database, pool, settings, signal, onError, onWait } = opening;
  return await retry(async () => {
    // not from the pool: this session ends with the signal, those of a pool do not
    await using _ = await openSession(database, { signal });
    await migrate(pool);
    return await JobQueue.open(database, { settings, onError });
  }, {
    delaysMs: opening.delaysMs ?? defaultDelaysMs,
    repeatsLastDelay: true,
    signal,
    onRetry: (error, _, delayMs) => onWait(error, delayMs),
  });
}
