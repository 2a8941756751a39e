import { ExitCode } from "../../core/mod.ts";
import { retry } from "../../postgres/mod.ts";
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

/** As long as a worker is waited for by default: who loses the word that a job has ended has done it for nothing. */
const delaysMs = [1_000, 2_000, 4_000, 8_000, 15_000];

/** Job and message end together, or neither does. */
export async function finish(
  { job, message }: Claim,
  { pool, queue }: RunSettings,
  outcome: JobOutcome,
): Promise<ClaimOutcome> {
  const done = await retry(() =>
    pool.transaction(async (session) => {
      if (!await queue.complete(session, message)) return false;
      const { id: jobId, attempt } = job;
      if (!await finishJob(session, { jobId, attempt, outcome })) return false;
      await appendJournal(session, { jobId }, {
        events: [{
          kind: "state",
          state: outcome.state,
          attempt: attemptNumber(job),
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
    }), { delaysMs });
  return done ? outcome.state : "lost";
}

/** Gives the job to another worker at once, which costs none of its attempts. */
export async function handOver(
  { job, message }: Claim,
  { pool, queue }: RunSettings,
): Promise<ClaimOutcome> {
  const messageId = crypto.randomUUID();
  const done = await retry(() =>
    pool.transaction(async (session) => {
      if (!await queue.complete(session, message)) return false;
      const { id: jobId, attempt, apiKeyId, timeoutSeconds } = job;
      if (!await requeueAttempt(session, { jobId, attempt, messageId })) return false;
      await queue.send(session, {
        id: messageId,
        queue: message.queue,
        jobId,
        apiKeyId,
        timeoutSeconds,
      });
      await appendJournal(session, { jobId }, {
        events: [{
          kind: "state",
          state: "queued",
          attempt: attemptNumber(job),
          reason: "its worker is shut down",
        }],
        lines: [{ level: "info", message: "given back: the worker is being shut down" }],
      });
      return true;
    }), { delaysMs });
  return done ? "requeued" : "lost";
}

/** Gives a job that was only measured to the machines that are for its size; that was no attempt. */
export async function move(
  { job, message }: Claim,
  { pool, queue }: RunSettings,
  properQueue: QueueName,
): Promise<ClaimOutcome> {
  const messageId = crypto.randomUUID();
  const done = await retry(() =>
    pool.transaction(async (session) => {
      if (!await queue.complete(session, message)) return false;
      const { id: jobId, attempt, apiKeyId, timeoutSeconds } = job;
      if (!await moveAttempt(session, { jobId, attempt, messageId, queue: properQueue })) {
        return false;
      }
      await queue.send(session, {
        id: messageId,
        queue: properQueue,
        jobId,
        apiKeyId,
        timeoutSeconds,
      });
      const reason = `measured: it goes to the queue ${properQueue}`;
      await appendJournal(session, { jobId }, {
        events: [{ kind: "state", state: "queued", attempt: attemptNumber(job) - 1, reason }],
        lines: [{ level: "info", message: reason }],
      });
      return true;
    }), { delaysMs });
  return done ? "moved" : "lost";
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
