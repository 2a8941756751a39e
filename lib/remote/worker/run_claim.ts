import { type Claim, isLarger, queueFor, type QueueName } from "../queue/mod.ts";
import { OpenedSecrets } from "../secrets/mod.ts";
import { isSwitchingJob } from "../spec/mod.ts";
import { appendJournal, attemptNumber, readSecrets } from "../store/mod.ts";
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

/**
 * Runs a claimed job and records its outcome.
 *
 * @param drain aborted when the worker must return its jobs to the queue
 * @throws StuckRunError if the run does not stop when aborted
 */
export async function runClaim(
  claim: Claim,
  settings: RunSettings,
  drain: AbortSignal,
): Promise<ClaimOutcome> {
  const { job } = claim;
  const { pool, keys } = settings;
  await recordStart(claim, settings);
  const leaseEnd = new AbortController();
  const abort = new AbortController();
  const end = (kind: JobAbort["kind"], why: string) => abort.abort(new JobAbort(kind, why));
  const remainingMs = job.timeoutSeconds * 1000 - (Date.now() - job.startedAt!.getTime());
  const deadline = setTimeout(
    () => end("timed-out", `did not finish within ${job.timeoutSeconds} s`),
    Math.max(0, remainingMs),
  );
  const release = () => end("drained", "the worker is shutting down");
  drain.addEventListener("abort", release, { once: true });
  if (drain.aborted) release();
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
    });
  } catch (error) {
    if (error instanceof StuckRunError) throw error;
    failure = error;
  } finally {
    clearTimeout(deadline);
    drain.removeEventListener("abort", release);
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
