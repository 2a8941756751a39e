import { repeatUntilAborted } from "../../core/internal.ts";
import type { SessionPool } from "../../postgres/internal.ts";
import type { Claim, JobQueue } from "../queue/mod.ts";
import { findJob } from "../store/mod.ts";
import type { AbortKind } from "./abort.ts";

/** Settings of {@linkcode keepLease}. */
export interface LeaseOptions {
  readonly pool: SessionPool;
  readonly queue: JobQueue;
  readonly claim: Claim;
  /** Called once, when the run must end. */
  readonly end: (kind: AbortKind, why: string) => void;
  /** Ends the lease itself. */
  readonly signal: AbortSignal;
  /** Interval between checks for cancellation. */
  readonly checkEveryMs: number;
}

/**
 * Renews the lease of a claim while its job runs, and checks for cancellation.
 *
 * If the queue cannot be reached, the run ends before the lease expires, so that two workers never
 * work on the same job.
 */
export async function keepLease(options: LeaseOptions): Promise<void> {
  const { queue, claim, end, signal, checkEveryMs } = options;
  const leaseMs = claim.message.heartbeatSeconds * 1000;
  let renewedAt = performance.now();
  let renewAt = renewedAt + leaseMs / 3;
  await repeatUntilAborted(async () => {
    const now = performance.now();
    try {
      if (now >= renewAt) {
        if (!await queue.touch(claim.message)) {
          end("lost", "another worker has taken over the job");
          return false;
        }
        renewedAt = now;
        renewAt = now + leaseMs / 3;
      }
      if (!await isCancelled(options)) return true;
      end("cancelled", "cancelled by its owner");
    } catch {
      // tolerated until the lease is about to expire
      if (performance.now() - renewedAt <= leaseMs * 0.8) return true;
      end("lost", "the service's database cannot be reached");
    }
    return false;
  }, { intervalMs: checkEveryMs, signal });
}

async function isCancelled({ pool, claim }: LeaseOptions): Promise<boolean> {
  const job = await pool.use((session) => findJob(session, claim.job.id));
  return job === undefined || job.cancelRequestedAt !== null;
}
