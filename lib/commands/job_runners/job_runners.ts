/**
 * The runners of jobs, one for each command.
 *
 * @module
 */
import { MixedSnapshotsError } from "../../checkpoint/internal.ts";
import { failuresOf } from "../shared/failures.ts";
import { optionDefaults } from "../../config/internal.ts";
import { ExitCode, parseLsn } from "../../core/internal.ts";
import { shareOfRate } from "../../remote/parallel_copy/mod.ts";
import type { JobRunner, JobRunners, RunnableJob } from "../../remote/worker/runner.ts";
import type { JobCommand, JobSpec } from "../../remote/spec/mod.ts";
import type { Verdict } from "../../verify/internal.ts";
import { cutoverRunner } from "./run_cutover_job.ts";
import { executeValidateCutover } from "../cutover/validate.ts";
import { executeInit } from "../init/init.ts";
import { setAsideObjects } from "../shared/init_report.ts";
import {
  completeInitOptions,
  completeSyncOptions,
  completeValidateOptions,
  completeVerifyOptions,
} from "../shared/complete_options.ts";
import type { SyncAction, SyncSettings, ToolSelection } from "../shared/run.ts";
import { executeStatus } from "../status/status.ts";
import { executeSync } from "../sync/sync.ts";
import { executeValidate } from "../validate/validate.ts";
import { executeVerify } from "../verify/verify.ts";

/** Defaults for what a job does not specify. */
export interface JobDefaults {
  readonly jobs: number;
  readonly splitBytes: number;
  readonly maxDiffs: number;
  readonly slotTimeoutMs: number;
  readonly now: () => Date;
}

/** The servers of a job, and what of them. */
function scopeOf(
  { source, target, databases, rules }: RunnableJob,
): Pick<RunnableJob, "source" | "target" | "databases" | "rules"> {
  return { source, target, databases, rules };
}

/**
 * Returns a worker's runner for each command.
 *
 * Uses the embedded `pg_dump`, whose connections are made by this process to the addresses that
 * were checked; an installed one would resolve names again.
 */
export function jobRunners(defaults: JobDefaults): JobRunners {
  const { now } = defaults;
  const tools = (workspace: string): ToolSelection => ({
    dump: "embedded",
    binDirectory: undefined,
    environment: { TMPDIR: workspace },
  });

  const runValidate: JobRunner<"validate"> = async (job, { events, signal, workspace }) => {
    const { options } = job;
    const validate = options.for_cutover === true ? executeValidateCutover : executeValidate;
    const result = await validate(
      completeValidateOptions({
        ...scopeOf(job),
        tools: tools(workspace),
        forSync: options.for_sync,
        forCutover: options.for_cutover,
        dropExisting: options.drop_existing,
        jobs: options.jobs ?? defaults.jobs,
      }),
      { events, signal },
    );
    return { result, exitCode: result.failures > 0 ? ExitCode.prerequisite : ExitCode.success };
  };

  const syncSettings = (
    { options, rules, sourceFromTarget }: Pick<RunnableJob, "rules" | "sourceFromTarget"> & {
      readonly options: ReplicationJobOptions;
    },
  ): SyncSettings => ({
    identity: options.replica_identity ?? optionDefaults.replicaIdentity,
    slotTimeoutMs: options.slot_timeout_seconds === undefined
      ? defaults.slotTimeoutMs
      : options.slot_timeout_seconds * 1000,
    applyFrom: options.apply_from ?? optionDefaults.applyFrom,
    sourceFromTarget,
    passfile: options.subscription_passfile,
    failover: true,
    now: rules.now,
  });

  const runInit: JobRunner<"init"> = async (job, context) => {
    const { options } = job;
    const { events, signal, workspace, attempt, checkpoints, copyWorkers } = context;
    const { onMeasured, onUnfinished } = context;
    const initOptions = completeInitOptions({
      ...scopeOf(job),
      tools: tools(workspace),
      jobs: options.jobs ?? defaults.jobs,
      indexJobs: options.index_jobs,
      copyFormat: options.copy_format,
      statistics: options.statistics,
      toastCompression: options.toast_compression,
      restoreSearchPath: options.restore_search_path,
      splitBytes: options.split_bytes ?? defaults.splitBytes,
      maxBytesPerSecond: shareOfRate(options),
      copyWorkers,
      dropExisting: options.drop_existing,
      sync: options.enable_sync === true ? syncSettings(job) : undefined,
      checkpoint: checkpoints,
      // whatever must not be resumed was dropped by the first attempt
      resume: attempt > 1 || (options.resume ?? true),
      allowMixedSnapshots: options.allow_mixed_snapshots,
      dryRun: options.dry_run,
      now,
      confirm: ({ bytes }) => {
        if (options.dry_run !== true) onMeasured(bytes);
        return Promise.resolve(true); // submitting the job confirms it
      },
      onUnfinished: (soFar) => {
        if (soFar.databases.some(({ incomplete }) => !incomplete)) onUnfinished(soFar);
        return Promise.resolve();
      },
    });
    const run = { events, signal };
    const done = await executeInit(initOptions, run).catch((error) => {
      // no user can be asked; the unfinished copy belongs to this job, and mixing snapshots was not
      // allowed, so it starts over
      if (attempt === 1 || !failuresOf(error).some(isMixed)) throw error;
      events({
        kind: "warning",
        message: `${error.message}: the copy starts over`,
        remedy: "allow_mixed_snapshots lets it resume, with tables from different snapshots",
      });
      return executeInit({ ...initOptions, resume: false }, run);
    });
    if (done.kind !== "copied") return { result: done.plan, exitCode: ExitCode.success };
    const complete = setAsideObjects(done.report).length === 0;
    return {
      result: done.report,
      exitCode: complete ? ExitCode.success : ExitCode.completeExcept,
    };
  };

  const runSync: JobRunner<"sync"> = async (job, context) => {
    const { options } = job;
    const { events, signal, workspace, onLasting } = context;
    const result = await executeSync(
      completeSyncOptions({
        ...scopeOf(job),
        tools: tools(workspace),
        jobs: options.jobs ?? defaults.jobs,
        splitBytes: options.split_bytes ?? defaults.splitBytes,
        sync: syncSettings(job),
        action: actionOf(options.action),
        confirm: () => Promise.resolve(true), // submitting the job confirms it
        onApplying: onLasting,
      }),
      { events, signal },
    );
    return { result, exitCode: ExitCode.success, isInterrupted: signal.aborted };
  };

  const runStatus: JobRunner<"status"> = async (job, context) => {
    const { source, target, databases } = job;
    const { sampleMs } = optionDefaults;
    const result = await executeStatus({ source, target, databases, sampleMs, now }, context);
    const exitCode = !result.source.reachable
      ? ExitCode.sourceUnreachable
      : !result.target.reachable
      ? ExitCode.targetUnreachable
      : ExitCode.success;
    return { result, exitCode };
  };

  const runVerify: JobRunner<"verify"> = async (job, { events, signal }) => {
    const { options } = job;
    const result = await executeVerify(
      completeVerifyOptions({
        ...scopeOf(job),
        jobs: options.jobs ?? defaults.jobs,
        maxDiffs: options.max_diffs ?? defaults.maxDiffs,
        // the service stores the report
        showValues: options.values ?? false,
        repair: options.repair,
        now,
      }),
      { events, signal },
    );
    return { result, exitCode: exitCodes[result.verdict] };
  };

  return {
    validate: runValidate,
    init: runInit,
    sync: runSync,
    status: runStatus,
    verify: runVerify,
    cutover: cutoverRunner(defaults),
  };
}

type OptionsOf<Command extends JobCommand> = Extract<JobSpec, { command: Command }>["options"];

type ReplicationJobOptions = Pick<
  OptionsOf<"init">,
  "replica_identity" | "slot_timeout_seconds" | "apply_from" | "subscription_passfile"
>;

function actionOf(action: OptionsOf<"sync">["action"]): SyncAction {
  switch (action?.kind) {
    case "copy":
      return { kind: "copy", tables: action.tables, areNew: action.are_new };
    case "skip":
      return { kind: "skip", lsn: parseLsn(action.lsn) };
    default:
      return { kind: action?.kind ?? "follow" };
  }
}

const exitCodes: Readonly<Record<Verdict, ExitCode>> = {
  equal: ExitCode.success,
  different: ExitCode.mismatch,
  unchecked: ExitCode.notVerified,
};

function isMixed(error: unknown): boolean {
  return error instanceof MixedSnapshotsError;
}
