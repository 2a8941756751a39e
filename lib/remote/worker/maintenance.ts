import { ExitCode } from "../../core/internal.ts";
import type { SessionPool } from "../../postgres/internal.ts";
import type { JobQueue } from "../queue/mod.ts";
import { appendJournal, deleteOldJobs, finishJob, removeStaleWorkers } from "../store/mod.ts";

/** How long finished jobs are retained. */
export interface Retention {
  /** Finished jobs, with their events and results. */
  readonly jobDays: number;
  /** Log lines and events of finished jobs. */
  readonly logDays: number;
}

/**
 * Fails jobs whose workers were lost too many times, and deletes expired data. Any number of
 * instances may do this concurrently.
 */
export async function runMaintenance(
  { pool, queue, retention }: {
    readonly pool: SessionPool;
    readonly queue: JobQueue;
    readonly retention: Retention;
  },
): Promise<void> {
  while (await failDeadLetter(pool, queue));
  await pool.use((session) => removeStaleWorkers(session));
  await pool.use((session) => deleteOldJobs(session, retention));
}

async function failDeadLetter(pool: SessionPool, queue: JobQueue): Promise<boolean> {
  return await pool.transaction(async (session) => {
    const dead = await queue.fetchDead(session);
    if (dead === undefined) return false;
    const message = "the job's workers were lost too many times";
    const ended = await finishJob(session, {
      jobId: dead.jobId,
      outcome: {
        state: "failed",
        exitCode: ExitCode.internal,
        error: {
          message,
          side: null,
          object: null,
          remedy: "the workers' logs show why they ended; then submit the job again",
          details: [],
        },
      },
    });
    if (ended) {
      await appendJournal(session, { jobId: dead.jobId }, {
        events: [{
          kind: "state",
          state: "failed",
          attempt: 0,
          exit_code: ExitCode.internal,
          reason: message,
        }],
        lines: [{ level: "error", message }],
      });
    }
    await dead.done();
    return true;
  });
}
