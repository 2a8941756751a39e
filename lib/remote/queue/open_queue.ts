import { type Endpoint, openSession, retry, type SessionPool } from "../../postgres/internal.ts";
import { migrate } from "../store/mod.ts";
import { JobQueue } from "./job_queue.ts";
import type { QueueSettings } from "./settings.ts";

/** What instances and workers need to begin. */
export interface QueueOpening {
  /** The service's database. */
  readonly database: Endpoint;
  /** Sessions of it. */
  readonly pool: SessionPool;
  readonly settings: QueueSettings;
  /** Ends the waiting. */
  readonly signal: AbortSignal;
  /** Told of what fails in the background. */
  readonly onError: (error: unknown) => void;
  /** Told before each pause, why the database cannot be used yet. */
  readonly onWait: (error: unknown, delayMs: number) => void;
  /** Pauses between attempts; the last one is repeated. */
  readonly delaysMs?: readonly number[];
}

/**
 * A database that starts takes seconds; one that is being restored takes hours, and is asked four
 * times a minute.
 */
const patientDelaysMs: readonly number[] = [500, 1_000, 2_000, 4_000, 8_000, 15_000];

/**
 * Waits for the service's database, brings its tables up to date, and opens the queue. Machines
 * start in any order: what may pass is waited for; a refused password, or a database that is not
 * there, is not.
 *
 * @throws what does not pass by itself; the signal's reason
 */
export async function openQueue(opening: QueueOpening): Promise<JobQueue> {
  const { database, pool, settings, signal, onError, onWait } = opening;
  return await retry(async () => {
    // not from the pool: this session ends with the signal, those of a pool do not
    await using _ = await openSession(database, { signal });
    await migrate(pool);
    return await JobQueue.open(database, { settings, onError });
  }, {
    delaysMs: opening.delaysMs ?? patientDelaysMs,
    repeatsLastDelay: true,
    signal,
    onRetry: (error, _, delayMs) => onWait(error, delayMs),
  });
}
