import type { InitPlan, InitReport, ValidationReport, VerifyReport } from "../commands/report.ts";
import type { InitOptions, ValidateOptions, VerifyOptions } from "../commands/run.ts";
import type { StatusOptions, StatusReport } from "../commands/status.ts";
import type { CommandContext } from "./context.ts";
import type { OptionReader } from "./options.ts";
import { jobScope, type RemotePlace, runRemotely } from "./remote.ts";

/** Where, and what was given: what was not given is the service's to choose. */
export interface RemoteCommand {
  readonly place: RemotePlace;
  readonly reader: OptionReader;
  readonly context: CommandContext;
}

/**
 * `init` on a service, like `init` here: the plan is a job of its own, which changes nothing, unless nobody is asked about it.
 *
 * @returns undefined when `confirm` said no, or the plan was all that was wanted
 */
export async function initRemotely(
  options: InitOptions,
  { yes, ...command }: RemoteCommand & { readonly yes: boolean },
): Promise<InitReport | undefined> {
  const { reader } = command;
  const scope = jobScope(options);
  const wanted = {
    ...given(reader, { jobs: options.jobs }),
    ...given(reader, { indexJobs: options.indexJobs }, "index_jobs"),
    ...given(reader, { splitTablesLargerThan: options.splitBytes }, "split_bytes"),
    ...given(reader, { copyFormat: options.copyFormat }, "copy_format"),
    drop_existing: options.dropExisting,
    ...(options.sync === undefined ? {} : {
      enable_sync: true,
      replica_identity: options.sync.identity,
      slot_timeout_seconds: Math.max(1, Math.round(options.sync.slotTimeoutMs / 1000)),
      ...(options.sync.passfile === undefined
        ? {}
        : { subscription_passfile: options.sync.passfile }),
    }),
  };
  if (options.dryRun || !yes) {
    const plan = await runRemotely<InitPlan>({
      ...scope,
      command: "init",
      options: { ...wanted, dry_run: true },
    }, command);
    if (!await options.confirm(plan) || options.dryRun) return undefined;
  }
  return await runRemotely({ ...scope, command: "init", options: wanted }, command);
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

/** An option that was given by a flag or a file, under the job's name for it; nothing when it was not. */
function given<Value>(
  reader: OptionReader,
  option: Readonly<Record<string, Value>>,
  name?: string,
): Readonly<Record<string, Value>> {
  const [[key, value] = ["", undefined]] = Object.entries(option);
  return reader.text(key) === undefined ? {} : { [name ?? key]: value as Value };
}
