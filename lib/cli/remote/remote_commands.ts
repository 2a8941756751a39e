import { formatLsn, UsageError } from "../../core/internal.ts";
import type {
  InitPlan,
  InitReport,
  SyncReport,
  ValidationReport,
  VerifyReport,
} from "../../commands/shared/report.ts";
import type {
  InitOptions,
  SyncOptions,
  SyncSettings,
  ValidateOptions,
  VerifyOptions,
} from "../../commands/shared/run.ts";
import type { StatusOptions, StatusReport } from "../../commands/status/status.ts";
import type { CommandContext } from "../context.ts";
import type { OptionReader } from "../options/option_reader.ts";
import { jobScope, type RemotePlace, runRemotely } from "./remote.ts";

/** Where, and what was given: what was not given is the service's to choose. */
export interface RemoteCommand {
  readonly place: RemotePlace;
  readonly reader: OptionReader;
  readonly context: CommandContext;
}

/**
 * `init` on a service, like `init` here: the plan is a job of its own, which changes nothing,
 * unless nobody is asked about it. It tells the size, by which workers are chosen; without it the
 * worker that gets the job measures.
 *
 * @returns undefined when `confirm` said no, or the plan was all that was wanted
 */
export async function initRemotely(
  options: InitOptions,
  { yes, workers, ...command }: RemoteCommand & {
    readonly yes: boolean;
    /** Undefined: what the service does by itself, one. */
    readonly workers: number | undefined;
  },
): Promise<InitReport | undefined> {
  const { reader } = command;
  const scope = jobScope(options);
  const wanted = {
    ...given(reader, { jobs: options.jobs }),
    ...given(reader, { indexJobs: options.indexJobs }, "index_jobs"),
    ...given(reader, { splitTablesLargerThan: options.splitBytes }, "split_bytes"),
    ...given(reader, { copyFormat: options.copyFormat }, "copy_format"),
    ...given(reader, { restoreSearchPath: options.restoreSearchPath }, "restore_search_path"),
    ...(options.maxBytesPerSecond === undefined
      ? {}
      : { max_bytes_per_second: Math.max(1024, Math.round(options.maxBytesPerSecond)) }),
    ...(workers === undefined ? {} : { workers }),
    drop_existing: options.dropExisting,
    resume: options.resume ?? true,
    allow_mixed_snapshots: options.allowMixedSnapshots ?? false,
    ...(options.sync === undefined ? {} : { enable_sync: true, ...replication(options.sync) }),
  };
  let size = {};
  if (options.dryRun || !yes) {
    const plan = await runRemotely<InitPlan>({
      ...scope,
      command: "init",
      options: { ...wanted, dry_run: true },
    }, command);
    if (!await options.confirm(plan) || options.dryRun) return undefined;
    size = { estimated_bytes: plan.bytes };
  }
  return await runRemotely({ ...scope, ...size, command: "init", options: wanted }, {
    ...command,
    onUnfinished: (result) => options.onUnfinished?.(result as InitReport) ?? Promise.resolve(),
  });
}

function replication({ identity, slotTimeoutMs, passfile }: SyncSettings) {
  return {
    replica_identity: identity,
    slot_timeout_seconds: Math.max(1, Math.round(slotTimeoutMs / 1000)),
    ...(passfile === undefined ? {} : { subscription_passfile: passfile }),
  };
}

/** `sync` on a service. What it copies is not shown before: `--yes` says that it may. */
export async function syncRemotely(
  options: Omit<SyncOptions, "confirm">,
  { yes, ...command }: RemoteCommand & { readonly yes: boolean },
): Promise<SyncReport> {
  const { action } = options;
  if (action.kind === "copy" && !yes) {
    throw new UsageError([{
      path: "--yes",
      message: "is needed with --remote: what is to be copied is not shown before",
    }]);
  }
  return await runRemotely({
    ...jobScope(options),
    command: "sync",
    options: {
      ...given(command.reader, { jobs: options.jobs }),
      ...given(command.reader, { splitTablesLargerThan: options.splitBytes }, "split_bytes"),
      ...replication(options.sync),
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
    options: {
      ...given(command.reader, { jobs: options.jobs }),
      drop_existing: options.dropExisting,
    },
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
      ...given(command.reader, { jobs: options.jobs }),
      max_diffs: options.maxDiffs,
      values: options.showValues,
      repair: options.repair,
    },
  }, command);
}

/** `status` on a service. */
export async function statusRemotely(
  options: StatusOptions,
  command: RemoteCommand,
): Promise<StatusReport> {
  return await runRemotely({ ...jobScope(options), command: "status", options: {} }, command);
}

/**
 * An option that was given by a flag or a file, under the job's name for it; nothing when it was
 * not.
 */
function given<Value>(
  reader: OptionReader,
  option: Readonly<Record<string, Value>>,
  name?: string,
): Readonly<Record<string, Value>> {
  const [[key, value] = ["", undefined]] = Object.entries(option);
  return reader.text(key) === undefined ? {} : { [name ?? key]: value as Value };
}
