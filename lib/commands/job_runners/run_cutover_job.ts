/**
 * `cutover` as a job.
 *
 * @module
 */
import { type CutoverAction, optionDefaults } from "../../config/internal.ts";
import { ExitCode } from "../../core/internal.ts";
import type { CutoverJobOptions } from "../../remote/spec/mod.ts";
import type { JobRunner, RunnerContext, RunnerOutcome } from "../../remote/worker/runner.ts";
import { executeFinish } from "../cutover/finish.ts";
import { executeCutoverPrepare } from "../cutover/prepare.ts";
import { executeRehearse } from "../cutover/rehearse.ts";
import { executeCutoverStatus } from "../cutover/status.ts";
import { executeSwitch } from "../cutover/switch.ts";
import type { SwitchBeginning } from "../cutover/switch_beginning.ts";

type CutoverJob = Parameters<JobRunner<"cutover">>[0];

/** What an action needs. */
interface ActionInput {
  readonly job: CutoverJob;
  readonly context: RunnerContext;
  readonly defaults: CutoverJobDefaults;
}

/** Defaults for what a job does not specify. */
export interface CutoverJobDefaults {
  readonly slotTimeoutMs: number;
  readonly now: () => Date;
}

/**
 * Returns the runner of `cutover` jobs.
 *
 * A switch begins with what it found, in the job's checkpoint. A later attempt continues: it
 * completes what is past the point of no return, even if the job has been cancelled, reports what
 * is complete, and otherwise starts over; unless another command has moved the databases since.
 */
export function cutoverRunner(defaults: CutoverJobDefaults): JobRunner<"cutover"> {
  return (job, context) => actions[job.options.action ?? "status"]({ job, context, defaults });
}

const actions: Readonly<Record<CutoverAction, (input: ActionInput) => Promise<RunnerOutcome>>> = {
  status: async ({ job, context }) => {
    const result = await executeCutoverStatus(serversOf(job), context);
    const isAlarm = result.databases.some(({ tripwire }) => tripwire.length > 0);
    return { result, exitCode: isAlarm ? ExitCode.unhealthy : ExitCode.success };
  },
  prepare: async ({ job, context, defaults }) => {
    const { options, targetFromSource } = job;
    const plan = new Plan(options);
    const report = await executeCutoverPrepare({
      ...serversOf(job),
      wayBack: options.way_back ?? optionDefaults.wayBack,
      fence: options.fence ?? optionDefaults.fence,
      targetFromSource,
      passfile: options.way_back_passfile,
      now: defaults.now().toISOString(),
      confirm: plan.confirm,
    }, context);
    return plan.outcome(report);
  },
  rehearse: async ({ job, context, defaults }) => {
    const { options } = job;
    const result = await executeRehearse({
      ...serversOf(job),
      maxPauseMs: options.max_pause_ms ?? optionDefaults.maxPauseMs,
      tokens: options.rehearse_tokens ?? optionDefaults.rehearseTokens,
      brownoutMs: options.brownout_ms,
      sequenceMargin: options.sequence_margin ?? optionDefaults.sequenceMargin,
      now: defaults.now,
    }, context);
    return { result, exitCode: result.isRefused ? ExitCode.prerequisite : ExitCode.success };
  },
  run: (input) => runSwitch("run", input),
  rollback: (input) => runSwitch("rollback", input),
  finish: async ({ job, context }) => {
    const plan = new Plan(job.options);
    const report = await executeFinish({
      ...serversOf(job),
      openOldSide: job.options.open_old_side ?? false,
      confirm: plan.confirm,
    }, context);
    return plan.outcome(report);
  },
};

async function runSwitch(
  direction: "run" | "rollback",
  { job, context, defaults }: ActionInput,
): Promise<RunnerOutcome> {
  const { options } = job;
  const checkpoint = context.checkpoints(`cutover ${direction}`);
  const begun = context.attempt > 1 ? await checkpoint.read() : undefined;
  const isContinued = begun !== undefined;
  if (!isContinued) context.signal.throwIfAborted();
  const plan = new Plan(options);
  const report = await executeSwitch(direction, {
    ...serversOf(job),
    maxPauseMs: options.max_pause_ms ?? optionDefaults.maxPauseMs,
    onBlocker: options.on_blocker ?? optionDefaults.onBlocker,
    barrierAttempts: options.barrier_attempts ?? optionDefaults.barrierAttempts,
    sequenceMargin: options.sequence_margin ?? optionDefaults.sequenceMargin,
    endSessions: options.keep_sessions !== true,
    slotTimeoutMs: options.slot_timeout_seconds === undefined
      ? defaults.slotTimeoutMs
      : options.slot_timeout_seconds * 1000,
    finalCheck: options.final_check ?? optionDefaults.finalCheck,
    // a client's commands do not run on the service's machines
    hook: () => undefined,
    isContinued,
    beginning: begun === undefined ? undefined : readBeginning(begun),
    onBegin: async (beginning) => {
      if (!isContinued) await checkpoint.write(JSON.stringify(beginning));
    },
    now: defaults.now,
    confirm: plan.confirm,
    onUnfinished: (soFar) => {
      context.onUnfinished(soFar);
      return Promise.resolve();
    },
  }, context);
  return plan.outcome(report);
}

/** Earlier versions have stored only that the switch was begun. */
function readBeginning(text: string): SwitchBeginning | undefined {
  return text === "begun" ? undefined : JSON.parse(text) as SwitchBeginning;
}

function serversOf({ source, target, databases }: CutoverJob) {
  return { source, target, databases };
}

/** Submitting a job confirms its plan; with `dry_run` the plan is the result. */
class Plan {
  readonly #isDry: boolean;
  #plan: unknown;

  constructor({ dry_run }: Pick<CutoverJobOptions, "dry_run">) {
    this.#isDry = dry_run === true;
  }

  readonly confirm = (plan: unknown): Promise<boolean> => {
    this.#plan = plan;
    return Promise.resolve(!this.#isDry);
  };

  outcome(report: unknown): RunnerOutcome {
    return { result: this.#isDry ? this.#plan : report, exitCode: ExitCode.success };
  }
}
