import { ExitCode } from "../../core/internal.ts";
import type { SessionPool } from "../../postgres/internal.ts";
import type { JobQueue } from "../queue/mod.ts";
import { appendJournal, deleteOldJobs, finishJob, forgetWorkers } from "../store/mod.ts";

/** What is kept how long. */
export interface Retention {
  /** Finished jobs, with their events and results. */
  readonly jobDays: number;
  /** Log lines and events of finished jobs. */
  readonly logDays: number;
}

/** What holds when nobody says otherwise. */
export const defaultRetention: Retention = { jobDays: 90, logDays: 30 };

/**
 * What any instance does from time to time: ends jobs whose workers were lost too often, forgets
 * what is old. Several may do it at the same time.
 */
export async function runMaintenance(
  { pool, queue, retention }: {
    readonly pool: SessionPool;
    readonly queue: JobQueue;
    readonly retention: Retention;
  },
): Promise<void> {
  while (await failDeadLetter(pool, queue));
  await pool.use((session) => forgetWorkers(session));
  await pool.use((session) => deleteOldJobs(session, retention));
}

async function failDeadLetter(pool: SessionPool, queue: JobQueue): Promise<boolean> {
  return await pool.transaction(async (session) => {
    const dead = await queue.fetchDead(session);
    if (dead === undefined) return false;
    const message = "the workers that ran the job were lost too often";
    const ended = await finishJob(session, {
      jobId: dead.jobId,
      outcome: {
        state: "failed",
        exitCode: ExitCode.internal,
        error: {
          message,
          side: null,
          object: null,
          remedy: "the operator finds in the workers' logs why they ended; submit the job again",
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
