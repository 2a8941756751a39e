import { ExitCode } from "../../core/internal.ts";
import { retry, type Session } from "../../postgres/internal.ts";
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

/** How it went, for the worker's own log: no secrets, no conditions. */
export type ClaimOutcome =
  | JobOutcome["state"]
  | "lost"
  | "moved"
  | "requeued"
  | "retried";

/**
 * As long as a worker is waited for by default: who loses the word that a job has ended has done it
 * for nothing.
 */
const delaysMs = [1_000, 2_000, 4_000, 8_000, 15_000];

/** Job and message end together, or neither does. */
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

/** Gives the job to another worker at once, which costs none of its attempts. */
export async function releaseClaim(claim: Claim, settings: RunSettings): Promise<ClaimOutcome> {
  const { id: jobId, attempt } = claim.job;
  const done = await queueAgain(claim, settings, {
    queue: claim.message.queue,
    release: (session, messageId) => requeueAttempt(session, { jobId, attempt, messageId }),
    attempt: attemptNumber(claim.job),
    reason: "its worker is shut down",
    line: "given back: the worker is being shut down",
  });
  return done ? "requeued" : "lost";
}

/**
 * Gives a job that was only measured to the machines that are for its size; that was no attempt.
 */
export async function moveClaim(
  claim: Claim,
  settings: RunSettings,
  queue: QueueName,
): Promise<ClaimOutcome> {
  const { id: jobId, attempt } = claim.job;
  const reason = `measured: it goes to the queue ${queue}`;
  const done = await queueAgain(claim, settings, {
    queue,
    release: (session, messageId) => moveAttempt(session, { jobId, attempt, messageId, queue }),
    attempt: attemptNumber(claim.job) - 1,
    reason,
    line: reason,
  });
  return done ? "moved" : "lost";
}

/** Ends the claim and queues its job under a new message. False: it is another's by now. */
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
 * Completes the claim's message and does `change` in one transaction. False: the claim is another's
 * by now.
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

/** Leaves it to the queue when the job is begun again. */
export async function tryLater(
  { job, message }: Claim,
  { pool, queue }: RunSettings,
  error: JobError,
): Promise<ClaimOutcome> {
  await retry(() =>
    pool.transaction(async (session) => {
      const { id: jobId, attempt } = job;
      if (!await requeueAttempt(session, { jobId, attempt, messageId: message.id })) return;
      await queue.retryLater(session, message);
      await appendJournal(session, { jobId }, {
        events: [{
          kind: "state",
          state: "queued",
          attempt: attemptNumber(job),
          reason: error.message,
        }],
        lines: [{ level: "warn", message: `to be tried again: ${error.message}` }],
      });
    }), { delaysMs });
  return "retried";
}
