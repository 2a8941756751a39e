/**
 * Names of options in problems: the parts below the library name flags, whose values come from
 * properties here.
 *
 * @module
 */
import { flagOf, type OptionName, optionNamed } from "../config/internal.ts";
import { type Problem, UsageError } from "../core/internal.ts";

/** The property that has the value of an option. Options without one are the command line's own. */
export const propertyNames: Readonly<Partial<Record<OptionName, string>>> = {
  source: "source",
  target: "target",
  pgBin: "tools.binDirectory",
  dumpTool: "tools.dump",
  includeDatabases: "databases.include",
  excludeDatabases: "databases.exclude",
  map: "databases.map",
  includeTables: "filters.includeTables",
  excludeTables: "filters.excludeTables",
  schemaOnlyTables: "filters.schemaOnlyTables",
  tableFilter: "filters.tableFilters",
  timeFilter: "filters.timeFilters",
  jobs: "jobs",
  indexJobs: "indexJobs",
  splitTablesLargerThan: "splitBytes",
  maxRate: "maxBytesPerSecond",
  copyThreads: "copyThreads",
  copyFormat: "copyFormat",
  statistics: "statistics",
  toastCompression: "toastCompression",
  enableSync: "sync",
  forSync: "forSync",
  forCutover: "forCutover",
  replicaIdentity: "identity",
  slotTimeout: "slotTimeoutMs",
  applyFrom: "applyFrom",
  sourceFromTarget: "sourceFromTarget",
  subscriptionPassfile: "passfile",
  resnapshot: "action.tables",
  addTables: "action.tables",
  skipLsn: "action.lsn",
  retry: "action",
  dryRun: "dryRun",
  dropExisting: "dropExisting",
  resume: "resume",
  allowMixedSnapshots: "allowMixedSnapshots",
  restoreSearchPath: "restoreSearchPath",
  repair: "repair",
  maxDiffs: "maxDiffs",
  values: "showValues",
  maxPause: "maxPauseMs",
  onBlocker: "onBlocker",
  barrierAttempts: "barrierAttempts",
  sequenceMargin: "sequenceMargin",
  finalCheck: "finalCheck",
  keepSessions: "endSessions",
  brownout: "brownoutMs",
  rehearseTokens: "tokens",
  wayBack: "wayBack",
  fence: "fence",
  targetFromSource: "targetFromSource",
  wayBackPassfile: "passfile",
  openOldSide: "openOldSide",
  hookBefore: "hook",
  hookSwitch: "hook",
  hookAbort: "hook",
  hookAfter: "hook",
};

const propertyOfFlag: ReadonlyMap<string, string> = new Map(
  Object.entries(propertyNames).map(([name, property]) => {
    const option = name as OptionName;
    return [flagOf(option, optionNamed(option)), property];
  }),
);

/** The same problem for a caller of the library: `filters.excludeTables` for `--exclude-tables`. */
export function inPropertyNames({ path, message }: Problem): Problem {
  return {
    path: propertyOfFlag.get(path) ?? path,
    // a value in quotes stays as it is
    message: message.replace(
      /"[^"]*"|--[a-z]+(?:-[a-z]+)*/g,
      (word) => propertyOfFlag.get(word) ?? word,
    ),
  };
}

/** Runs a verb, whose usage errors then name properties. */
export async function withPropertyNames<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(error.problems.map(inPropertyNames), error.remedy);
  }
}
