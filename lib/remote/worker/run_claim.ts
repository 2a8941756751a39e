import { type Claim, isLarger, queueFor, type QueueName } from "../queue/mod.ts";
import { OpenedSecrets } from "../secrets/mod.ts";
import { isSwitchingJob } from "../spec/mod.ts";
import { appendJournal, attemptNumber, markLasting, readSecrets } from "../store/mod.ts";
import { JobAbort } from "./abort.ts";
import type { ClaimOutcome } from "./claim_endings.ts";
import { StuckRunError } from "./end_in_time.ts";
import { keepLease } from "./lease.ts";
import { ownDatabase } from "./own_database.ts";
import { Redactor } from "./redactor.ts";
import { runJob } from "./run_job.ts";
import type { RunSettings } from "./run_settings.ts";
import type { RunnerOutcome } from "./runner.ts";
import { redactorOf, specOfSecrets } from "./secrets.ts";
import { finishRun } from "./finish_run.ts";

/** How a worker shuts down. */
export interface Shutdown {
  /** Aborted when it claims no more jobs. */
  readonly begun: AbortSignal;
  /** Aborted when its jobs must return to the queue. */
  readonly due: AbortSignal;
}

/**
 * Runs a claimed job and records its outcome.
 *
 * @throws StuckRunError if the run does not stop when aborted
 */
export async function runClaim(
  claim: Claim,
  settings: RunSettings,
  shutdown: Shutdown,
): Promise<ClaimOutcome> {
  const { job } = claim;
  const { pool, keys, queue } = settings;
  await recordStart(claim, settings);
  const leaseEnd = new AbortController();
  const abort = new AbortController();
  const end = (kind: JobAbort["kind"], why: string) => abort.abort(new JobAbort(kind, why));
  const deadline = job.timeoutSeconds === null ? undefined : setTimeout(
    () => end("timed-out", `did not finish within ${job.timeoutSeconds} s`),
    Math.max(0, job.timeoutSeconds * 1000 - (Date.now() - job.startedAt!.getTime())),
  );
  let { isLasting } = job;
  const release = () => end("drained", "the worker is shutting down");
  // it would not finish by itself, however long the worker waits
  const releaseLasting = () => {
    if (isLasting) release();
  };
  shutdown.due.addEventListener("abort", release, { once: true });
  shutdown.begun.addEventListener("abort", releaseLasting, { once: true });
  if (shutdown.due.aborted) release();
  if (shutdown.begun.aborted) releaseLasting();
  if (job.cancelRequestedAt !== null) end("cancelled", "cancelled by its owner");
  const lease = keepLease({ ...settings, claim, end, signal: leaseEnd.signal });
  const { heartbeatSeconds } = claim.message;
  const database = ownDatabase({ pool, heartbeatSeconds, signal: abort.signal, end });
  let redactor = new Redactor({ urls: [], predicates: [] });
  let outcome: RunnerOutcome | undefined;
  let failure: unknown;
  let unfinished: unknown;
  let properQueue: QueueName | undefined;
  try {
    const secretsOf = job.parentId ?? job.id;
    const sealed = await database.use((session) => readSecrets(session, secretsOf));
    if (sealed === undefined) throw new Error("the job's secrets were erased");
    using secrets = await OpenedSecrets.open(keys, { jobId: secretsOf, sealed });
    const spec = specOfSecrets(secrets.secrets);
    redactor = redactorOf(spec);
    // an earlier attempt may have closed both sides: then it is completed whatever happens
    if (!isSwitchingJob(spec) || attemptNumber(job) === 1) abort.signal.throwIfAborted();
    const onMeasured = (bytes: number) => {
      if (spec.estimated_bytes !== undefined || job.moves > 0) return;
      const queue = queueFor(bytes);
      if (!isLarger(queue, claim.message.queue)) return;
      properQueue = queue;
      end("moved", `the job is large enough for the queue ${queue}`);
      abort.signal.throwIfAborted();
    };
    const onLasting = async () => {
      const timeoutSeconds = spec.timeout_seconds ?? null;
      const identity = { jobId: job.id, attempt: job.attempt, timeoutSeconds };
      const isValid = await database.use((session) =>
        session.transaction(async () =>
          await queue.prolong(session, claim.message) && await markLasting(session, identity)
        )
      );
      if (!isValid) return end("lost", "another worker has taken over the job");
      if (timeoutSeconds === null) clearTimeout(deadline);
      isLasting = true;
      if (shutdown.begun.aborted) release();
    };
    outcome = await runJob({
      claim,
      settings,
      database,
      secrets,
      redactor,
      abort: abort.signal,
      end,
      onMeasured,
      onUnfinished: (result) => unfinished = result,
      onLasting,
    });
  } catch (error) {
    if (error instanceof StuckRunError) throw error;
    failure = error;
  } finally {
    clearTimeout(deadline);
    shutdown.due.removeEventListener("abort", release);
    shutdown.begun.removeEventListener("abort", releaseLasting);
  }
  try {
    const reason = abort.signal.reason;
    return await finishRun(claim, settings, {
      outcome,
      failure,
      unfinished,
      abort: reason instanceof JobAbort ? reason : undefined,
      redactor,
      properQueue,
      isLasting,
    });
  } finally {
    leaseEnd.abort();
    await lease;
  }
}

/** Records the start of an attempt, and the loss of the previous attempt's worker. */
async function recordStart({ job, message, lostWorker }: Claim, { pool }: RunSettings) {
  const attempt = attemptNumber(job);
  const reason = lostWorker === undefined
    ? undefined
    : `attempt ${
      attempt - 1
    } was abandoned: its worker, ${lostWorker}, did not report for ${message.heartbeatSeconds} s`;
  await pool.use((session) =>
    appendJournal(session, { jobId: job.id, attempt: job.attempt }, {
      events: [{
        kind: "state",
        state: "running",
        attempt,
        ...(reason === undefined ? {} : { reason }),
      }],
      lines: reason === undefined ? [] : [{ level: "warn", message: reason }],
    })
  );
}
