import type { CutoverAction } from "../../config/internal.ts";
import { formatLsn, UsageError } from "../../core/internal.ts";
import type { Endpoint } from "../../postgres/internal.ts";
import { endpointUrl, type JobOptions } from "../../remote/mod.ts";
import type { InitResult } from "../../commands/init/init.ts";
import type { InitPlan } from "../../commands/shared/init_plan.ts";
import type { InitReport } from "../../commands/shared/init_report.ts";
import type { SyncReport } from "../../commands/shared/sync_report.ts";
import type { ValidationReport } from "../../commands/shared/validation_report.ts";
import type { VerifyReport } from "../../commands/shared/verify_report.ts";
import type {
  InitOptions,
  SyncOptions,
  ValidateOptions,
  VerifyOptions,
} from "../../commands/shared/run.ts";
import type { StatusOptions, StatusReport } from "../../commands/status/status.ts";
import type { CommandContext } from "../context.ts";
import type { OptionReader } from "../options/option_reader.ts";
import { readJobOptions } from "./job_options.ts";
import { jobScope, type RemoteScope, runRemotely } from "./remote.ts";
import type { RemotePlace } from "./remote_place.ts";

/** Which service, and what the user gave. */
export interface RemoteCommand {
  readonly place: RemotePlace;
  readonly reader: OptionReader;
  readonly context: CommandContext;
}

/**
 * `init` on a service. Unless `yes` is given, the plan is a separate job that changes nothing. The
 * plan's size selects the queue; without it the worker that takes the job measures.
 */
export async function initRemotely(
  options: InitOptions,
  { yes, ...command }: RemoteCommand & { readonly yes: boolean },
): Promise<InitResult> {
  const { reader } = command;
  const scope = jobScope(options);
  const jobOptions = readJobOptions(reader, "init");
  let size = {};
  if (options.dryRun || !yes) {
    const plan = await runRemotely<InitPlan>({
      ...scope,
      command: "init",
      options: { ...jobOptions, dry_run: true },
    }, command);
    const agreed = await options.confirm(plan);
    if (options.dryRun) return { kind: "planned", plan };
    if (!agreed) return { kind: "declined", plan };
    size = { estimated_bytes: plan.bytes };
  }
  const report = await runRemotely<InitReport>({
    ...scope,
    ...size,
    command: "init",
    options: jobOptions,
  }, {
    ...command,
    onUnfinished: (result) => options.onUnfinished(result as InitReport),
  });
  return { kind: "copied", report };
}

/** `sync` on a service. It cannot show first what it copies, so copying requires `--yes`. */
export async function syncRemotely(
  options: Omit<SyncOptions, "confirm">,
  { yes, ...command }: RemoteCommand & { readonly yes: boolean },
): Promise<SyncReport> {
  const { action } = options;
  if (action.kind === "copy" && !yes) {
    throw new UsageError([{
      path: "--yes",
      message: "is required with --remote: there is no plan to confirm",
    }]);
  }
  return await runRemotely({
    ...jobScope(options),
    command: "sync",
    options: {
      ...readJobOptions(command.reader, "sync"),
      action: action.kind === "copy"
        ? { kind: "copy", tables: [...action.tables], are_new: action.areNew }
        : action.kind === "skip"
        ? { kind: "skip", lsn: formatLsn(action.lsn) }
        : action,
    },
  }, command);
}

/** `validate` on a service. */
export async function validateRemotely(
  options: Omit<ValidateOptions, "forSync">,
  command: RemoteCommand,
): Promise<ValidationReport> {
  return await runRemotely({
    ...jobScope(options),
    command: "validate",
    options: readJobOptions(command.reader, "validate"),
  }, command);
}

/** `verify` on a service. */
export async function verifyRemotely(
  options: VerifyOptions,
  command: RemoteCommand,
): Promise<VerifyReport> {
  return await runRemotely({
    ...jobScope(options),
    command: "verify",
    options: {
      ...readJobOptions(command.reader, "verify"),
      repair: options.repair,
    },
  }, command);
}

/** What a `cutover` job has besides its servers. */
export interface RemoteCutover extends RemoteCommand {
  readonly action: CutoverAction;
  readonly servers: RemoteScope;
  readonly targetFromSource: Endpoint | undefined;
  /** Receives the report of a job that failed, before its error is thrown. */
  readonly onUnfinished?: ((result: unknown) => Promise<void>) | undefined;
}

/**
 * `cutover` on a service. Unless `yes` is given, the plan is a separate job that changes nothing.
 *
 * @returns undefined if `confirm` declined
 */
export async function changeCutoverRemotely<Report, Plan>(
  { yes, dryRun, confirm, ...job }: RemoteCutover & {
    readonly yes: boolean;
    readonly dryRun: boolean;
    readonly confirm: (plan: Plan) => Promise<boolean>;
  },
): Promise<Report | undefined> {
  if (dryRun || !yes) {
    const plan = await cutoverRemotely<Plan>({ ...job, options: { dry_run: true } });
    if (!await confirm(plan)) return undefined;
  }
  return await cutoverRemotely<Report>(job);
}

/** Runs one action as a job. */
export async function cutoverRemotely<Result>(
  { action, servers, targetFromSource, options = {}, ...command }: RemoteCutover & {
    readonly options?: Pick<JobOptions["cutover"], "dry_run">;
  },
): Promise<Result> {
  const back = targetFromSource === undefined
    ? undefined
    : endpointUrl(targetFromSource, "--target-from-source");
  if (back !== undefined && back.problems.length > 0) throw new UsageError(back.problems);
  // flags that are off belong to other actions
  const given = Object.fromEntries(
    Object.entries(readJobOptions(command.reader, "cutover")).filter(([, value]) =>
      value !== false
    ),
  );
  return await runRemotely<Result>({
    ...jobScope(servers),
    ...(back?.url === undefined ? {} : { target_from_source_url: back.url }),
    command: "cutover",
    options: { ...given, dry_run: false, action, ...options },
  }, command);
}

/** `status` on a service. */
export async function statusRemotely(
  options: StatusOptions,
  command: RemoteCommand,
): Promise<StatusReport> {
  return await runRemotely({ ...jobScope(options), command: "status", options: {} }, command);
}
