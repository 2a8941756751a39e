import { ExitCode, ReplicatorError } from "../../core/mod.ts";
import { retry, type SessionPool } from "../../postgres/mod.ts";
import type { LaneRunner } from "../../copy/mod.ts";
import { crewLanes, type CrewOptions, helpCopy, shareOfRate } from "../crew/mod.ts";
import type { AddressGuard } from "../guard/mod.ts";
import { type Claim, isLarger, type JobQueue, queueFor, type QueueName } from "../queue/mod.ts";
import { type KeyProvider, OpenedSecrets } from "../secrets/mod.ts";
import type { JobSpec } from "../spec/mod.ts";
import {
  appendJournal,
  attemptNumber,
  finishJob,
  type JobError,
  type JobEvent,
  type JobOutcome,
  moveAttempt,
  readSecrets,
  requeueAttempt,
} from "../store/mod.ts";
import { JobAbort } from "./abort.ts";
import { jobCheckpoints } from "./checkpoints.ts";
import { JobJournal } from "./journal.ts";
import { keepLease } from "./lease.ts";
import { Redactor } from "./redactor.ts";
import type { JobRunner, JobRunners, RunnableJob, RunnerContext, RunnerOutcome } from "./runner.ts";
import { redactorOf, resolveJob, specOfSecrets } from "./secrets.ts";

/** What a worker runs jobs with. */
export interface RunSettings {
  readonly pool: SessionPool;
  readonly queue: JobQueue;
  readonly keys: KeyProvider;
  readonly guard: AddressGuard;
  readonly runners: JobRunners;
  /** Where the folders of jobs are made. */
  readonly workspaceRoot: string;
  /** How often a wish to cancel is looked for. */
  readonly lookEveryMs: number;
  /** How long a run that was told to end may take to do so. */
  readonly patienceMs: number;
  /** How leader and helpers of a copy hear of each other. Default: see {@linkcode crewTiming}. */
  readonly crew?: CrewTiming;
}

/** How leader and helpers of a copy hear of each other. */
export interface CrewTiming {
  /** Who was not heard of for so long is lost. */
  readonly leaseSeconds: number;
  /** Time between two words. */
  readonly everyMs: number;
}

function crewTiming({ crew, queue }: RunSettings): CrewTiming {
  return crew ?? { leaseSeconds: queue.settings.heartbeatSeconds, everyMs: 300 };
}

/** How it went, for the worker's own log: no secrets, no conditions. */
export type ClaimOutcome =
  | JobOutcome["state"]
  | "lost"
  | "moved"
  | "requeued"
  | "retried";

/** A run was told to end and did not: only the end of the process ends it. */
export class StuckRunError extends Error {
  override readonly name = "StuckRunError";
}

/**
 * Runs a claimed job to its end, whatever that is, and writes it down.
 *
 * @param drain aborted when the worker is to give its jobs back
 * @throws StuckRunError when the run does not end although it was told to
 */
export async function runClaim(
  claim: Claim,
  settings: RunSettings,
  drain: AbortSignal,
): Promise<ClaimOutcome> {
  const { job } = claim;
  const { pool, keys } = settings;
  await note(claim, settings, { kind: "state", state: "running", attempt: attemptNumber(job) });
  const leaseEnd = new AbortController();
  const abort = new AbortController();
  const end = (kind: JobAbort["kind"], why: string) => abort.abort(new JobAbort(kind, why));
  const remainingMs = job.timeoutSeconds * 1000 - (Date.now() - job.startedAt!.getTime());
  const deadline = setTimeout(
    () => end("timed-out", `not done within ${job.timeoutSeconds} s`),
    Math.max(0, remainingMs),
  );
  const giveBack = () => end("drained", "the worker is being shut down");
  drain.addEventListener("abort", giveBack, { once: true });
  if (drain.aborted) giveBack();
  if (job.cancelRequestedAt !== null) end("cancelled", "cancelled by its owner");
  const lease = keepLease({ ...settings, claim, end, signal: leaseEnd.signal });
  let redactor = new Redactor({ urls: [], predicates: [] });
  let outcome: RunnerOutcome | undefined;
  let failure: unknown;
  let properQueue: QueueName | undefined;
  try {
    const secretsOf = job.parentId ?? job.id;
    const sealed = await pool.use((session) => readSecrets(session, secretsOf));
    if (sealed === undefined) throw new Error("the job's secrets are gone");
    using secrets = await OpenedSecrets.open(keys, { jobId: secretsOf, sealed });
    const spec = specOfSecrets(secrets.secrets);
    redactor = redactorOf(spec);
    abort.signal.throwIfAborted();
    const onMeasured = (bytes: number) => {
      if (spec.estimated_bytes !== undefined || job.moves > 0) return;
      const queue = queueFor(bytes);
      if (!isLarger(queue, claim.message.queue)) return;
      properQueue = queue;
      end("moved", `there is so much to copy that it belongs to the queue ${queue}`);
      abort.signal.throwIfAborted();
    };
    outcome = await run({
      claim,
      settings,
      secrets,
      redactor,
      abort: abort.signal,
      end,
      onMeasured,
    });
  } catch (error) {
    if (error instanceof StuckRunError) throw error;
    failure = error;
  } finally {
    clearTimeout(deadline);
    drain.removeEventListener("abort", giveBack);
  }
  try {
    const reason = abort.signal.reason;
    return await settle(claim, settings, {
      outcome,
      failure,
      abort: reason instanceof JobAbort ? reason : undefined,
      redactor,
      properQueue,
    });
  } finally {
    leaseEnd.abort();
    await lease;
  }
}

interface Run {
  readonly claim: Claim;
  readonly settings: RunSettings;
  readonly secrets: OpenedSecrets;
  readonly redactor: Redactor;
  readonly abort: AbortSignal;
  readonly end: (kind: JobAbort["kind"], why: string) => void;
  readonly onMeasured: RunnerContext["onMeasured"];
}

async function run(
  { claim, settings, secrets, redactor, abort, end, onMeasured }: Run,
): Promise<RunnerOutcome> {
  const { job } = claim;
  const { pool, workspaceRoot, patienceMs } = settings;
  const onLost = () => end("lost", "another worker has taken the job over");
  const identity = { pool, jobId: job.id, attempt: job.attempt, onLost };
  const journal = new JobJournal({ ...identity, redactor });
  journal.log("info", `attempt ${attemptNumber(job)} on worker ${job.worker}`);
  const workspace = await makeWorkspace(workspaceRoot, job.id);
  try {
    const spec = specOfSecrets(secrets.secrets);
    const runnable = await resolveJob(spec, settings.guard);
    const running = job.copyId === null
      ? runnerOf(claim, settings)(runnable, {
        events: journal.take,
        signal: abort,
        attempt: attemptNumber(job),
        onMeasured,
        checkpoints: jobCheckpoints({ ...identity, secrets }),
        workspace,
        lanes: lanesOf(claim, { settings, spec, secrets, events: journal.take, onLost }),
      })
      : help(claim, {
        settings,
        spec,
        runnable,
        secrets,
        copyId: job.copyId,
        signal: abort,
        journal,
      });
    return await endingInTime(running, { abort, patienceMs });
  } finally {
    // how it ended counts, not whether the last lines could be written
    await journal.close().catch(() => {});
    await Deno.remove(workspace, { recursive: true }).catch(() => {});
  }
}

function runnerOf({ job }: Claim, { runners }: RunSettings): JobRunner {
  const runner = runners[job.command] as JobRunner | undefined;
  if (runner !== undefined) return runner;
  throw new ReplicatorError(`this worker cannot run ${job.command}`, {
    exitCode: ExitCode.prerequisite,
  });
}

/** With several workers this one leads. */
function lanesOf(
  { job, message }: Claim,
  { settings, spec, ...rest }:
    & Pick<CrewOptions, "secrets" | "events" | "onLost">
    & { readonly settings: RunSettings; readonly spec: JobSpec },
): LaneRunner | undefined {
  const workers = spec.command === "init" ? spec.options.workers ?? 1 : 1;
  if (workers < 2) return undefined;
  const { pool, queue } = settings;
  const { id: jobId, attempt, apiKeyId, timeoutSeconds } = job;
  const identity = { jobId, attempt, apiKeyId, timeoutSeconds, worker: job.worker ?? "" };
  const about = { pool, queue, queueName: message.queue, workers };
  return crewLanes({ ...identity, ...about, ...crewTiming(settings), ...rest });
}

/** A job that helps another one: the rows are the other's, and so are the secrets. */
async function help(
  { job }: Claim,
  { settings, spec, runnable: { source, target }, secrets, copyId, signal, journal }: {
    readonly settings: RunSettings;
    readonly spec: JobSpec;
    readonly runnable: RunnableJob;
    readonly secrets: OpenedSecrets;
    readonly copyId: string;
    readonly signal: AbortSignal;
    readonly journal: JobJournal;
  },
): Promise<RunnerOutcome> {
  const result = await helpCopy({
    pool: settings.pool,
    secrets,
    copyId,
    member: `${job.id}/${job.attempt}`,
    worker: job.worker ?? "",
    source,
    target,
    signal,
    events: journal.take,
    maxBytesPerSecond: spec.command === "init" ? shareOfRate(spec.options) : undefined,
    ...crewTiming(settings),
  });
  return { exitCode: ExitCode.success, result };
}

async function makeWorkspace(root: string, jobId: string): Promise<string> {
  await Deno.mkdir(root, { recursive: true, mode: 0o700 });
  const workspace = await Deno.makeTempDir({ dir: root, prefix: `${jobId}-` });
  await Deno.chmod(workspace, 0o700);
  return workspace;
}

/** The outcome of a run, or its error; or a StuckRunError when it goes on after it was told to end. */
async function endingInTime<Outcome>(
  running: Promise<Outcome>,
  { abort, patienceMs }: { readonly abort: AbortSignal; readonly patienceMs: number },
): Promise<Outcome> {
  const stuck = Promise.withResolvers<never>();
  stuck.promise.catch(() => {}); // raced below; may come when nobody waits any more
  let timer: ReturnType<typeof setTimeout> | undefined;
  const wait = () => {
    timer = setTimeout(
      () => stuck.reject(new StuckRunError("a run did not end when it was told to")),
      patienceMs,
    );
  };
  abort.addEventListener("abort", wait, { once: true });
  if (abort.aborted) wait();
  try {
    return await Promise.race([running, stuck.promise]);
  } finally {
    abort.removeEventListener("abort", wait);
    clearTimeout(timer);
  }
}

interface Ending {
  readonly outcome: RunnerOutcome | undefined;
  readonly failure: unknown;
  readonly abort: JobAbort | undefined;
  readonly redactor: Redactor;
  /** Where a job belongs that was only measured. */
  readonly properQueue: QueueName | undefined;
}

async function settle(
  claim: Claim,
  settings: RunSettings,
  { outcome, failure, abort, redactor, properQueue }: Ending,
): Promise<ClaimOutcome> {
  if (outcome !== undefined) {
    return await finish(claim, settings, {
      state: outcome.exitCode === ExitCode.success ? "succeeded" : "failed",
      exitCode: outcome.exitCode,
      result: redactor.value(outcome.result),
    });
  }
  switch (abort?.kind) {
    case "lost":
      return "lost";
    case "drained":
      return await handOver(claim, settings);
    case "moved":
      return await move(claim, settings, properQueue ?? claim.message.queue);
    case "cancelled":
      return await finish(claim, settings, {
        state: "cancelled",
        exitCode: ExitCode.interrupted,
        error: errorOf(abort, redactor),
      });
    case "timed-out":
      return await finish(claim, settings, {
        state: "timed_out",
        exitCode: ExitCode.stepFailed,
        error: errorOf(abort, redactor),
      });
  }
  if (isUnreachable(failure) && !claim.message.isLast) {
    return await tryLater(claim, settings, errorOf(failure, redactor));
  }
  return await finish(claim, settings, {
    state: "failed",
    exitCode: failure instanceof ReplicatorError ? failure.exitCode : ExitCode.internal,
    error: errorOf(failure, redactor),
  });
}

function isUnreachable(failure: unknown): boolean {
  return failure instanceof ReplicatorError &&
    (failure.exitCode === ExitCode.sourceUnreachable ||
      failure.exitCode === ExitCode.targetUnreachable);
}

function errorOf(error: unknown, redactor: Redactor): JobError {
  const foreseen = error instanceof ReplicatorError ? error : undefined;
  return redactor.value({
    message: error instanceof Error ? error.message : String(error),
    side: foreseen?.side ?? null,
    object: foreseen?.object ?? null,
    remedy: foreseen?.remedy ?? null,
    details: foreseen?.details ?? [],
  });
}

/** Job and message end together, or neither does. */
async function finish(
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
    })
  );
  return done ? outcome.state : "lost";
}

/** Gives the job to another worker at once, which costs none of its attempts. */
async function handOver(
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
    })
  );
  return done ? "requeued" : "lost";
}

/** Gives a job that was only measured to the machines that are for its size; that was no attempt. */
async function move(
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
    })
  );
  return done ? "moved" : "lost";
}

/** Leaves it to the queue when the job is begun again. */
async function tryLater(
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
    })
  );
  return "retried";
}

async function note(
  { job }: Claim,
  { pool }: RunSettings,
  event: JobEvent,
): Promise<void> {
  await pool.use((session) =>
    appendJournal(session, { jobId: job.id, attempt: job.attempt }, { events: [event] })
  );
}
