/**
 * The commands as jobs of the service run them.
 *
 * @module
 */
import { ExitCode } from "../core/mod.ts";
import type { JobRunner, JobRunners } from "../remote/worker/runner.ts";
import type { Verdict } from "../verify/mod.ts";
import { init } from "./init.ts";
import type { InitPlan } from "./report.ts";
import type { SyncSettings, ToolSelection } from "./run.ts";
import { status } from "./status.ts";
import { validate } from "./validate.ts";
import { verify } from "./verify.ts";

/** What holds where a job says nothing. */
export interface JobDefaults {
  readonly jobs: number;
  readonly splitBytes: number;
  readonly maxDiffs: number;
  readonly slotTimeoutMs: number;
  readonly now: () => Date;
}

/**
 * What a worker runs for each command.
 *
 * The embedded `pg_dump` gives the schema: it uses connections of this process, which go to the addresses that were checked, while an installed
 * one would resolve names again by itself.
 */
export function jobRunners(defaults: JobDefaults): JobRunners {
  const { now } = defaults;
  const tools = (workspace: string): ToolSelection => ({
    dump: "embedded",
    binDirectory: undefined,
    environment: { TMPDIR: workspace },
  });

  const runValidate: JobRunner<"validate"> = async (job, { events, signal, workspace }) => {
    const { source, target, databases, rules, options } = job;
    const result = await validate({
      source,
      target,
      databases,
      rules,
      tools: tools(workspace),
      forSync: options.for_sync ?? false,
      dropExisting: options.drop_existing ?? false,
      jobs: options.jobs ?? defaults.jobs,
    }, { events, signal });
    return { result, exitCode: result.failures > 0 ? ExitCode.prerequisite : ExitCode.success };
  };

  const runInit: JobRunner<"init"> = async (job, { events, signal, workspace }) => {
    const { source, target, databases, rules, options } = job;
    const jobs = options.jobs ?? defaults.jobs;
    const dryRun = options.dry_run ?? false;
    const sync: SyncSettings | undefined = options.enable_sync !== true ? undefined : {
      identity: options.replica_identity ?? "fail",
      slotTimeoutMs: options.slot_timeout_seconds === undefined
        ? defaults.slotTimeoutMs
        : options.slot_timeout_seconds * 1000,
      sourceFromTarget: job.sourceFromTarget,
      passfile: options.subscription_passfile,
      failover: true,
      now: rules.now,
    };
    let plan: InitPlan | undefined;
    const report = await init({
      source,
      target,
      databases,
      rules,
      tools: tools(workspace),
      jobs,
      indexJobs: options.index_jobs ?? jobs,
      copyFormat: options.copy_format ?? "auto",
      splitBytes: options.split_bytes ?? defaults.splitBytes,
      dropExisting: options.drop_existing ?? false,
      sync,
      dryRun,
      confirm: (asked) => {
        plan = asked;
        return Promise.resolve(true); // who submitted it has confirmed it
      },
    }, { events, signal });
    return { result: report ?? plan, exitCode: ExitCode.success };
  };

  const runStatus: JobRunner<"status"> = async (job, context) => {
    const { source, target, databases } = job;
    const result = await status({ source, target, databases, now }, context);
    const exitCode = !result.source.reachable
      ? ExitCode.sourceUnreachable
      : !result.target.reachable
      ? ExitCode.targetUnreachable
      : ExitCode.success;
    return { result, exitCode };
  };

  const runVerify: JobRunner<"verify"> = async (job, { events, signal }) => {
    const { source, target, databases, rules, options } = job;
    const result = await verify({
      source,
      target,
      databases,
      rules,
      jobs: options.jobs ?? defaults.jobs,
      maxDiffs: options.max_diffs ?? defaults.maxDiffs,
      showValues: options.values ?? false,
      repair: options.repair ?? "no",
      now,
    }, { events, signal });
    return { result, exitCode: exitCodes[result.verdict] };
  };

  return { validate: runValidate, init: runInit, status: runStatus, verify: runVerify };
}

const exitCodes: Readonly<Record<Verdict, ExitCode>> = {
  equal: ExitCode.success,
  different: ExitCode.mismatch,
  unchecked: ExitCode.notVerified,
};
