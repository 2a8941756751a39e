import type { SyncSettings } from "../../commands/shared/run.ts";
import { copyThreadsFor } from "../../copy/internal.ts";
import {
  completeCopyOptions,
  type CopyOptions,
  type PartialCopyOptions,
  readCopyOptions,
  readJobs,
  type ResolveContext,
} from "./copy_options.ts";
import { copyFormats, searchPaths } from "../grammar/grammar.ts";
import { megabyte, type OptionReader } from "./option_reader.ts";
import { readReportFile } from "./report_file.ts";
import { readSyncSettings } from "./sync_settings.ts";

/** `init` in full. */
export interface InitCommandOptions extends CopyOptions {
  readonly indexJobs: number;
  readonly copyFormat: typeof copyFormats[number];
  readonly restoreSearchPath: typeof searchPaths[number];
  readonly copyThreads: number;
  readonly splitBytes: number;
  /** In bytes a second; undefined for no limit. */
  readonly maxBytesPerSecond: number | undefined;
  /** Undefined: no replication. */
  readonly sync: SyncSettings | undefined;
  readonly yes: boolean;
  /** Whether to go on with what an interrupted run has done. */
  readonly resume: boolean;
  readonly allowMixedSnapshots: boolean;
  readonly dryRun: boolean;
  /** Where the HTML page goes. */
  readonly reportFile: string | undefined;
}

const maxCopyThreads = 16;

/** Above this size a table is copied in parts. */
export const defaultSplitBytes = 256 * megabyte;

/** @throws UsageError with everything that is wrong */
export async function resolveInitOptions(
  reader: OptionReader,
  context: ResolveContext,
): Promise<InitCommandOptions> {
  const partial = await readCopyOptions(reader, context);
  const yes = reader.flag("yes");
  const dryRun = reader.flag("dryRun");
  const indexJobs = readJobs(reader, "indexJobs", "--index-jobs", partial.jobs);
  const copyFormat = reader.choice("copyFormat", {
    path: "--copy-format",
    values: copyFormats,
    fallback: "auto",
  });
  const restoreSearchPath = reader.choice("restoreSearchPath", {
    path: "--restore-search-path",
    values: searchPaths,
    fallback: "empty",
  });
  const copyThreads = readCopyThreads(reader, partial, context.cpuCount);
  const splitBytes = reader.bytes("splitTablesLargerThan", {
    path: "--split-tables-larger-than",
    fallback: defaultSplitBytes,
  });
  const maxBytesPerSecond = reader.rate("maxRate", "--max-rate");
  const reportFile = await readReportFile(reader);
  const settings = await readSyncSettings(reader, context);
  const sync = reader.flag("enableSync") ? settings : undefined;
  if (sync === undefined) {
    for (const [key, path] of syncOptions) {
      if (reader.text(key) !== undefined) {
        reader.problem(path, "says nothing without --enable-sync");
      }
    }
  }
  if (!yes && !dryRun && !context.canAsk) {
    reader.problem(
      "--yes",
      "is needed here: there is no terminal to ask whether to go on (--dry-run shows the plan)",
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
    restoreSearchPath,
    copyThreads,
    splitBytes,
    maxBytesPerSecond,
    reportFile,
  };
}

const syncOptions = [
  ["replicaIdentity", "--replica-identity"],
  ["slotTimeout", "--slot-timeout"],
  ["sourceFromTarget", "--source-from-target"],
  ["subscriptionPassfile", "--subscription-passfile"],
] as const;

function readCopyThreads(
  reader: OptionReader,
  { source, target, jobs }: PartialCopyOptions,
  cpuCount: number,
): number {
  const text = reader.text("copyThreads") ?? "auto";
  if (text !== "auto") {
    return reader.whole("copyThreads", {
      path: "--copy-threads",
      least: 0,
      most: maxCopyThreads,
      fallback: 0,
    });
  }
  const endpoints = [source, target].filter((endpoint) => endpoint !== undefined);
  return copyThreadsFor({ endpoints, jobs, cpuCount });
}
