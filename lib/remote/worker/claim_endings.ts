import { ExitCode, retry } from "../../core/internal.ts";
import { type Session } from "../../postgres/internal.ts";
import type { Claim, QueueName } from "../queue/mod.ts";
import {
  appendJournal,
  attemptNumber,
  finishJob,
  type JobError,
  type JobOutcome,
  moveAttempt,
  requeueAttempt,
} from "../store/mod.ts";
import type { RunSettings } from "./run_settings.ts";

/** How a claim ended, for the worker's log. */
export type ClaimOutcome =
  | JobOutcome["state"]
  | "lost"
  | "moved"
  | "requeued"
  | "retried";

/**
 * About as long as the default lease: if the outcome cannot be recorded, the work was for nothing.
 */
const delaysMs = [1_000, 2_000, 4_000, 8_000, 15_000];

/** Ends the job and completes its message, atomically. */
export async function finishClaim(
  claim: Claim,
  settings: RunSettings,
  outcome: JobOutcome,
): Promise<ClaimOutcome> {
  const { id: jobId, attempt } = claim.job;
  const done = await endClaim(claim, settings, async (session) => {
    if (!await finishJob(session, { jobId, attempt, outcome })) return false;
    await appendJournal(session, { jobId }, {
      events: [{
        kind: "state",
        state: outcome.state,
        attempt: attemptNumber(claim.job),
        exit_code: outcome.exitCode,
        ...(outcome.error === undefined ? {} : { reason: outcome.error.message }),
      }],
      lines: [{
        level: outcome.exitCode === ExitCode.success ? "info" : "error",
        message: `${outcome.state}, exit code ${outcome.exitCode}` +
          (outcome.error === undefined ? "" : `: ${outcome.error.message}`),
      }],
    });
    return true;
  });
  return done ? outcome.state : "lost";
}

/** Returns the job to its queue immediately; this does not count as a failed attempt. */
export async function releaseClaim(claim: Claim, settings: RunSettings): Promise<ClaimOutcome> {
  const { id: jobId, attempt } = claim.job;
  const done = await queueAgain(claim, settings, {
    queue: claim.message.queue,
    release: (session, messageId) => requeueAttempt(session, { jobId, attempt, messageId }),
    attempt: attemptNumber(claim.job),
    reason: "its worker is shutting down",
    line: "returned to the queue: the worker is shutting down",
  });
  return done ? "requeued" : "lost";
}

/**
 * Moves a job that was only measured to the queue for its size; this does not count as an attempt.
 */
export async function moveClaim(
  claim: Claim,
  settings: RunSettings,
  queue: QueueName,
): Promise<ClaimOutcome> {
  const { id: jobId, attempt } = claim.job;
  const reason = `moved to queue ${queue} after measuring its size`;
  const done = await queueAgain(claim, settings, {
    queue,
    release: (session, messageId) => moveAttempt(session, { jobId, attempt, messageId, queue }),
    attempt: attemptNumber(claim.job) - 1,
    reason,
    line: reason,
  });
  return done ? "moved" : "lost";
}

/** Ends the claim and requeues its job as a new message. Returns false if the claim was lost. */
async function queueAgain(
  claim: Claim,
  settings: RunSettings,
  { queue, release, attempt, reason, line }: {
    readonly queue: QueueName;
    readonly release: (session: Session, messageId: string) => Promise<boolean>;
    readonly attempt: number;
    readonly reason: string;
    readonly line: string;
  },
): Promise<boolean> {
  const id = crypto.randomUUID();
  const { id: jobId, apiKeyId, timeoutSeconds } = claim.job;
  return await endClaim(claim, settings, async (session) => {
    if (!await release(session, id)) return false;
    await settings.queue.send(session, { id, queue, jobId, apiKeyId, timeoutSeconds });
    await appendJournal(session, { jobId }, {
      events: [{ kind: "state", state: "queued", attempt, reason }],
      lines: [{ level: "info", message: line }],
    });
    return true;
  });
}

/**
 * Completes the claim's message and applies `change` in one transaction. Returns false if the claim
 * was lost.
 */
async function endClaim(
  { message }: Claim,
  { pool, queue }: RunSettings,
  change: (session: Session) => Promise<boolean>,
): Promise<boolean> {
  return await retry(
    () =>
      pool.transaction(async (session) =>
        await queue.complete(session, message) && await change(session)
      ),
    { delaysMs },
  );
}

/** The pause before a lasting job is tried again. */
const lastingRetrySeconds = 60;

/**
 * Returns the job to its queue, which retries it after a pause: as often as its settings allow, or
 * without limit if the job is lasting.
 */
export async function tryLater(
  { job, message }: Claim,
  { pool, queue }: RunSettings,
  { error, isLasting }: { readonly error: JobError; readonly isLasting: boolean },
): Promise<ClaimOutcome> {
  await retry(() =>
    pool.transaction(async (session) => {
      const { id: jobId, attempt } = job;
      if (!await requeueAttempt(session, { jobId, attempt, messageId: message.id })) return;
      if (isLasting) {
        await queue.prolong(session, message, { retryDelaySeconds: lastingRetrySeconds });
      }
      await queue.retryLater(session, message);
      await appendJournal(session, { jobId }, {
        events: [{
          kind: "state",
          state: "queued",
          attempt: attemptNumber(job),
          reason: error.message,
        }],
        lines: [{ level: "warn", message: `will be retried: ${error.message}` }],
      });
    }), { delaysMs });
  return "retried";
}
