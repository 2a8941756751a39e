import type { SyncSettings } from "../../commands/shared/run.ts";
import { flagOf, optionNamed, type OptionTable } from "../../config/internal.ts";
import { copyThreadsFor } from "../../copy/internal.ts";
import {
  completeCopyOptions,
  type CopyOptions,
  type PartialCopyOptions,
  readCopyOptions,
  type ResolveContext,
} from "./copy_options.ts";
import type { OptionReader } from "./option_reader.ts";
import { readReportFile } from "./report_file.ts";
import { readSyncSettings } from "./sync_settings.ts";

/** `init` in full. */
export interface InitCommandOptions extends CopyOptions {
  readonly indexJobs: number;
  readonly copyFormat: OptionTable["copyFormat"]["values"][number];
  readonly statistics: OptionTable["statistics"]["values"][number];
  readonly toastCompression: OptionTable["toastCompression"]["values"][number];
  readonly restoreSearchPath: OptionTable["restoreSearchPath"]["values"][number];
  readonly copyThreads: number;
  readonly splitBytes: number;
  /** Undefined: no limit. */
  readonly maxBytesPerSecond: number | undefined;
  /** Undefined: no replication. */
  readonly sync: SyncSettings | undefined;
  readonly yes: boolean;
  /** Whether to resume an interrupted run. */
  readonly resume: boolean;
  readonly allowMixedSnapshots: boolean;
  readonly dryRun: boolean;
  /** Where the HTML page goes. */
  readonly reportFile: string | undefined;
}

/** @throws UsageError with every problem */
export async function resolveInitOptions(
  reader: OptionReader,
  context: ResolveContext,
): Promise<InitCommandOptions> {
  const partial = await readCopyOptions(reader, context);
  const yes = reader.flag("yes");
  const dryRun = reader.flag("dryRun");
  const indexJobs = reader.integer("indexJobs") ?? partial.jobs;
  const copyFormat = reader.choice("copyFormat");
  const statistics = reader.choice("statistics");
  const toastCompression = reader.choice("toastCompression");
  const restoreSearchPath = reader.choice("restoreSearchPath");
  const copyThreads = reader.integer("copyThreads") ?? defaultCopyThreads(partial, context);
  const splitBytes = reader.size("splitTablesLargerThan");
  const maxBytesPerSecond = reader.rate("maxRate");
  const reportFile = await readReportFile(reader);
  const settings = await readSyncSettings(reader, context);
  const sync = reader.flag("enableSync") ? settings : undefined;
  if (sync === undefined) {
    for (const name of syncOptions) {
      if (reader.given(name)) {
        reader.problem(flagOf(name, optionNamed(name)), "requires --enable-sync");
      }
    }
  }
  if (!yes && !dryRun && !context.canAsk) {
    reader.problem(
      "--yes",
      "is required: there is no terminal to ask for confirmation (--dry-run shows the plan)",
    );
  }
  reader.done();
  return {
    ...completeCopyOptions(partial),
    sync,
    yes,
    resume: reader.flag("resume"),
    allowMixedSnapshots: reader.flag("allowMixedSnapshots"),
    dryRun,
    indexJobs,
    copyFormat,
    statistics,
    toastCompression,
    restoreSearchPath,
    copyThreads,
    splitBytes,
    maxBytesPerSecond,
    reportFile,
  };
}

const syncOptions = [
  "replicaIdentity",
  "slotTimeout",
  "applyFrom",
  "sourceFromTarget",
  "subscriptionPassfile",
] as const;

function defaultCopyThreads(
  { source, target, jobs }: PartialCopyOptions,
  { cpuCount }: ResolveContext,
): number {
  const endpoints = [source, target].filter((endpoint) => endpoint !== undefined);
  return copyThreadsFor({ endpoints, jobs, cpuCount });
}
