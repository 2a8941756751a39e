/**
 * The defaults of the option table as values, and those of choices that the command line does not
 * offer.
 *
 * @module
 */
import { parseBytes, parseDuration } from "../../core/internal.ts";
import { optionTable } from "./table.ts";

const {
  applyFrom,
  barrierAttempts,
  copyFormat,
  dumpTool,
  fence,
  finalCheck,
  heartbeat,
  maxDiffs,
  maxPause,
  onBlocker,
  rehearseTokens,
  replicaIdentity,
  restoreSearchPath,
  sequenceMargin,
  slotTimeout,
  splitTablesLargerThan,
  statistics,
  toastCompression,
  wayBack,
} = optionTable;

/** What options are unless they are given. Flags are off, and negations on. */
export const optionDefaults = {
  /** Where the number of CPUs is not known; see {@linkcode defaultJobs}. */
  jobs: 4,
  dumpTool: dumpTool.default,
  copyFormat: copyFormat.default,
  statistics: statistics.default,
  toastCompression: toastCompression.default,
  /** The library copies in the caller's thread unless asked for others. */
  copyThreads: 0,
  splitBytes: inUnit(parseBytes, splitTablesLargerThan.default),
  replicaIdentity: replicaIdentity.default,
  applyFrom: applyFrom.default,
  slotTimeoutMs: inUnit(parseDuration, slotTimeout.default),
  restoreSearchPath: restoreSearchPath.default,
  maxDiffs: Number(maxDiffs.default),
  maxPauseMs: inUnit(parseDuration, maxPause.default),
  onBlocker: onBlocker.default,
  barrierAttempts: Number(barrierAttempts.default),
  sequenceMargin: Number(sequenceMargin.default),
  rehearseTokens: Number(rehearseTokens.default),
  finalCheck: finalCheck.default,
  wayBack: wayBack.default,
  fence: fence.default,
  heartbeatSeconds: Number(heartbeat.default),
  /** How long `status` measures rates. */
  sampleMs: 1_000,
} as const;

const maxDefaultJobs = 8;

/** The number of CPUs, at most 8. */
export function defaultJobs(cpuCount: number): number {
  return Math.max(1, Math.min(maxDefaultJobs, cpuCount));
}

function inUnit(parse: (text: string) => number | undefined, text: string): number {
  const value = parse(text);
  if (value === undefined) throw new Error(`"${text}" is not a default`);
  return value;
}
