import { ExitCode, ReplicatorError, retry } from "../../core/internal.ts";
import type { CopyWorkerRunner } from "../../copy/internal.ts";
import {
  helpCopy,
  type ParallelCopyOptions,
  parallelCopyWorkers,
  shareOfRate,
} from "../parallel_copy/mod.ts";
import type { Claim } from "../queue/mod.ts";
import type { OpenedSecrets } from "../secrets/mod.ts";
import { isSwitchingJob, type JobSpec } from "../spec/mod.ts";
import { attemptNumber, type StoreDatabase } from "../store/mod.ts";
import type { JobAbort } from "./abort.ts";
import { jobCheckpoints } from "./checkpoints.ts";
import { endInTime } from "./end_in_time.ts";
import { JobJournal } from "./journal.ts";
import type { Redactor } from "./redactor.ts";
import { parallelCopyTiming, type RunSettings } from "./run_settings.ts";
import type { JobRunner, RunnableJob, RunnerContext, RunnerOutcome } from "./runner.ts";
import { resolveJob, specOfSecrets } from "./secrets.ts";
import { Workspace } from "./workspace.ts";

/** Retries of the last journal write, while the database is briefly unavailable. */
const lastLinesDelaysMs = [500, 1_000, 2_000, 4_000];

/**
 * How long an aborted switch may take: past the point of no return it ends by opening the other
 * side, for which it waits if that server is restarting.
 */
const switchGraceMs = 10 * 60_000;

/** A job whose secrets have been decrypted. */
export interface OpenedJob {
  readonly claim: Claim;
  readonly settings: RunSettings;
  readonly database: StoreDatabase;
  readonly secrets: OpenedSecrets;
  readonly redactor: Redactor;
  readonly abort: AbortSignal;
  readonly end: (kind: JobAbort["kind"], why: string) => void;
  readonly onMeasured: RunnerContext["onMeasured"];
  readonly onUnfinished: RunnerContext["onUnfinished"];
  readonly onLasting: RunnerContext["onLasting"];
}

/**
 * Runs a job in its own workspace, with a journal. A helper takes part in its parent's copy.
 *
 * @throws StuckRunError if it does not stop when aborted
 */
export async function runJob(
  { claim, settings, database, secrets, redactor, abort, end, ...callbacks }: OpenedJob,
): Promise<RunnerOutcome> {
  const { job } = claim;
  const { pool, workspaceRoot, graceMs } = settings;
  const onLost = () => end("lost", "another worker has taken over the job");
  const identity = { pool, jobId: job.id, attempt: job.attempt, onLost };
  const journal = new JobJournal({ ...identity, redactor });
  journal.log("info", `attempt ${attemptNumber(job)} on worker ${job.worker}`);
  try {
    await using workspace = await Workspace.create(workspaceRoot, job.id);
    const spec = specOfSecrets(secrets.secrets);
    const runnable = await resolveJob(spec, settings.guard);
    const running = job.copyId === null
      ? runnerOf(claim, settings)(runnable, {
        events: journal.take,
        signal: abort,
        attempt: attemptNumber(job),
        ...callbacks,
        checkpoints: jobCheckpoints({ ...identity, database, secrets }),
        workspace: workspace.path,
        copyWorkers: copyWorkersOf(claim, {
          ...{ settings, database, spec, secrets, onLost },
          events: journal.take,
        }),
      })
      : help(claim, {
        settings,
        database,
        spec,
        runnable,
        secrets,
        copyId: job.copyId,
        signal: abort,
        journal,
      });
    return await endInTime(running, {
      abort,
      graceMs: isSwitchingJob(spec) ? Math.max(graceMs, switchGraceMs) : graceMs,
    });
  } finally {
    // a failure to write the last lines must not hide the outcome
    await retry(() => journal.close(), { delaysMs: lastLinesDelaysMs }).catch(() => {});
  }
}

function runnerOf({ job }: Claim, { runners }: RunSettings): JobRunner {
  const runner = runners[job.command] as JobRunner | undefined;
  if (runner !== undefined) return runner;
  throw new ReplicatorError(`this worker cannot run ${job.command}`, {
    exitCode: ExitCode.prerequisite,
  });
}

/** Coordinates a parallel copy if the job asks for several workers. */
function copyWorkersOf(
  claim: Claim,
  { settings, spec, ...rest }:
    & Pick<ParallelCopyOptions, "database" | "secrets" | "events" | "onLost">
    & { readonly settings: RunSettings; readonly spec: JobSpec },
): CopyWorkerRunner | undefined {
  const workers = spec.command === "init" ? spec.options.workers ?? 1 : 1;
  if (workers < 2) return undefined;
  const { job, message } = claim;
  const { queue } = settings;
  const { id: jobId, attempt, apiKeyId, timeoutSeconds } = job;
  const identity = { jobId, attempt, apiKeyId, timeoutSeconds, worker: job.worker ?? "" };
  const about = { queue, queueName: message.queue, workers };
  return parallelCopyWorkers({
    ...identity,
    ...about,
    ...parallelCopyTiming(settings, claim),
    ...rest,
  });
}

/** Runs a helper, with the parent's secrets. */
async function help(
  claim: Claim,
  { settings, database, spec, runnable: { source, target }, secrets, copyId, signal, journal }: {
    readonly settings: RunSettings;
    readonly database: StoreDatabase;
    readonly spec: JobSpec;
    readonly runnable: RunnableJob;
    readonly secrets: OpenedSecrets;
    readonly copyId: string;
    readonly signal: AbortSignal;
    readonly journal: JobJournal;
  },
): Promise<RunnerOutcome> {
  const { job } = claim;
  const result = await helpCopy({
    database,
    secrets,
    copyId,
    participant: `${job.id}/${job.attempt}`,
    worker: job.worker ?? "",
    source,
    target: {
      ...target,
      ownSearchPath: spec.command === "init" && spec.options.restore_search_path === "own",
    },
    signal,
    events: journal.take,
    maxBytesPerSecond: spec.command === "init" ? shareOfRate(spec.options) : undefined,
    ...parallelCopyTiming(settings, claim),
  });
  return { exitCode: ExitCode.success, result };
}
