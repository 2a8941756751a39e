import { pause, type SessionPool } from "../../postgres/internal.ts";
import type { Claim, JobQueue } from "../queue/mod.ts";
import { findJob } from "../store/mod.ts";
import type { AbortKind } from "./abort.ts";

/** What a lease needs. */
export interface LeaseOptions {
  readonly pool: SessionPool;
  readonly queue: JobQueue;
  readonly claim: Claim;
  /** Called once, when the run has to end. */
  readonly end: (kind: AbortKind, why: string) => void;
  /** Ends the lease itself. */
  readonly signal: AbortSignal;
  /** How often a wish to cancel is looked for. */
  readonly checkEveryMs: number;
}

/**
 * Keeps a claim alive while a job runs: tells the queue that the worker lives, and looks for a wish
 * to cancel.
 *
 * A worker that cannot reach the queue for as long as it takes the others to think it lost ends its
 * run by itself: two must never work on one job.
 */
export async function keepLease(options: LeaseOptions): Promise<void> {
  const { queue, claim, end, signal, checkEveryMs } = options;
  const leaseMs = claim.message.heartbeatSeconds * 1000;
  let heardAt = performance.now();
  let touchAt = heardAt + leaseMs / 3;
  while (!signal.aborted) {
    await pause(checkEveryMs, signal).catch(() => {}); // the loop's condition tells
    if (signal.aborted) return;
    const now = performance.now();
    try {
      if (now >= touchAt) {
        if (!await queue.touch(claim.message)) {
          return end("lost", "another worker has taken the job over");
        }
        heardAt = now;
        touchAt = now + leaseMs / 3;
      }
      if (await wantsCancel(options)) return end("cancelled", "cancelled by its owner");
    } catch {
      // the database is away for a moment, or for longer:
      if (performance.now() - heardAt > leaseMs * 0.8) {
        return end("lost", "the service's database cannot be reached");
      }
    }
  }
}

async function wantsCancel({ pool, claim }: LeaseOptions): Promise<boolean> {
  const job = await pool.use((session) => findJob(session, claim.job.id));
  return job === undefined || job.cancelRequestedAt !== null;
}
