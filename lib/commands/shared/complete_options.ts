/**
 * Options of commands, completed with their defaults.
 *
 * @module
 */
import { type CopySettings, defaultCopySettings } from "../../copy/copy_settings.ts";
import { type CopyWorkerRunner, copyWorkersHere } from "../../copy/worker_runner.ts";
import { systemClock } from "../../core/internal.ts";
import { type CopyFormatChoice, optionDefaults } from "../../config/internal.ts";
import { noTableRules } from "../../rules/internal.ts";
import type {
  ApplySettings,
  DatabaseSelection,
  InitOptions,
  SyncOptions,
  SyncSettings,
  ToolSelection,
  ValidateOptions,
  VerifyOptions,
} from "./run.ts";

/** The same fields, each of which may be missing. */
export type Optional<Options> = {
  readonly [Name in keyof Options]?: Options[Name] | undefined;
};

/** Choices about copying rows; see {@linkcode CopySettings}. */
export interface CopyChoices {
  readonly jobs?: number | undefined;
  readonly copyFormat?: CopyFormatChoice | undefined;
  /** Threads that copy rows; 0 for the caller's thread. See `copyThreadsFor`. */
  readonly copyThreads?: number | undefined;
  /** Replaces threads of this process. */
  readonly copyWorkers?: CopyWorkerRunner | undefined;
  readonly splitBytes?: number | undefined;
  readonly maxBytesPerSecond?: number | undefined;
  /** Delays before a session is opened again after a transient failure. */
  readonly sessionRetryDelaysMs?: readonly number[] | undefined;
}

type Required = "source" | "target" | "confirm";

/** What {@linkcode completeInitOptions} completes. */
export interface InitChoices
  extends
    CopyChoices,
    Pick<InitOptions, Required>,
    Optional<Omit<InitOptions, Required | "copy">> {}

/** What {@linkcode completeValidateOptions} completes. */
export interface ValidateChoices
  extends
    Pick<ValidateOptions, "source" | "target">,
    Optional<Omit<ValidateOptions, "source" | "target">> {}

/** What {@linkcode completeVerifyOptions} completes. */
export interface VerifyChoices
  extends
    Pick<VerifyOptions, "source" | "target">,
    Optional<Omit<VerifyOptions, "source" | "target">> {}

/** What {@linkcode completeSyncOptions} completes. */
export interface SyncChoices
  extends
    CopyChoices,
    Pick<SyncOptions, Required>,
    Optional<Omit<SyncOptions, Required | "copy" | "sync">> {
  readonly sync?: Optional<SyncSettings> | undefined;
}

const allDatabases: DatabaseSelection = { include: [], exclude: [], map: {} };

const defaultTools: ToolSelection = {
  dump: optionDefaults.dumpTool,
  binDirectory: undefined,
  environment: {},
};

/** What applies the changes unless it is requested. */
export const defaultApplySettings: ApplySettings = {
  applyFrom: optionDefaults.applyFrom,
  sourceFromTarget: undefined,
  passfile: undefined,
};

/** A server that restarts or recovers from a crash is away for a while. */
const defaultDatabaseRetryDelaysMs: readonly number[] = [
  1_000,
  2_000,
  4_000,
  8_000,
  15_000,
  30_000,
];

/** Completes choices about copying. */
export function completeCopySettings(
  {
    jobs = defaultCopySettings.jobs,
    copyFormat: format = defaultCopySettings.format,
    copyThreads: threads = optionDefaults.copyThreads,
    copyWorkers: workers = copyWorkersHere({ threads }),
    splitBytes = defaultCopySettings.splitBytes,
    maxBytesPerSecond = defaultCopySettings.maxBytesPerSecond,
    sessionRetryDelaysMs: retryDelaysMs = defaultCopySettings.retryDelaysMs,
  }: CopyChoices,
): CopySettings {
  const { throttle } = defaultCopySettings;
  return { jobs, workers, format, splitBytes, maxBytesPerSecond, throttle, retryDelaysMs };
}

/** Completes choices about replication. */
export function completeSyncSettings(
  {
    identity = optionDefaults.replicaIdentity,
    slotTimeoutMs = optionDefaults.slotTimeoutMs,
    applyFrom = optionDefaults.applyFrom,
    sourceFromTarget,
    passfile,
    failover = true,
    now = systemClock().toISOString(),
  }: Optional<SyncSettings>,
): SyncSettings {
  return { identity, slotTimeoutMs, applyFrom, sourceFromTarget, passfile, failover, now };
}

/** Options of `validate` with every default. */
export function completeValidateOptions(
  {
    source,
    target,
    databases = allDatabases,
    rules = noTableRules,
    tools = defaultTools,
    forSync = false,
    forCutover = false,
    identity = optionDefaults.replicaIdentity,
    apply = defaultApplySettings,
    restoreSearchPath = optionDefaults.restoreSearchPath,
    dropExisting = false,
    resume = true,
    claim = () => Promise.resolve(),
    runGraceMs = 0,
    jobs = optionDefaults.jobs,
  }: ValidateChoices,
): ValidateOptions {
  return {
    ...{ source, target, databases, rules, tools, forSync, forCutover },
    ...{ identity, apply, restoreSearchPath, dropExisting, resume, claim, runGraceMs },
    jobs,
  };
}

/** Options of `init` with every default. */
export function completeInitOptions(
  {
    source,
    target,
    databases = allDatabases,
    rules = noTableRules,
    tools = defaultTools,
    indexJobs,
    statistics = optionDefaults.statistics,
    toastCompression = optionDefaults.toastCompression,
    restoreSearchPath = optionDefaults.restoreSearchPath,
    dropExisting = false,
    sync,
    checkpoint,
    resume = true,
    allowMixedSnapshots = false,
    databaseRetryDelaysMs = defaultDatabaseRetryDelaysMs,
    dryRun = false,
    prediction = "before",
    now = systemClock,
    confirm,
    whileSnapshotHeld = () => Promise.resolve(),
    onUnfinished = () => Promise.resolve(),
    ...choices
  }: InitChoices,
): InitOptions {
  const copy = completeCopySettings(choices);
  return {
    ...{ source, target, databases, rules, tools, copy, indexJobs: indexJobs ?? copy.jobs },
    ...{ statistics, toastCompression, restoreSearchPath, dropExisting, sync, checkpoint, resume },
    ...{
      allowMixedSnapshots,
      databaseRetryDelaysMs,
      dryRun,
      prediction,
      now,
      confirm,
      whileSnapshotHeld,
      onUnfinished,
    },
  };
}

/** Options of `verify` with every default. */
export function completeVerifyOptions(
  {
    source,
    target,
    databases = allDatabases,
    rules = noTableRules,
    jobs = optionDefaults.jobs,
    maxDiffs = optionDefaults.maxDiffs,
    showValues = true,
    repair = "no",
    journal,
    now = systemClock,
  }: VerifyChoices,
): VerifyOptions {
  return { source, target, databases, rules, jobs, maxDiffs, showValues, repair, journal, now };
}

/** Options of `sync` with every default. */
export function completeSyncOptions(
  {
    source,
    target,
    databases = allDatabases,
    rules = noTableRules,
    tools = defaultTools,
    sync = {},
    action = { kind: "follow" },
    confirm,
    onApplying = async () => {},
    ...choices
  }: SyncChoices,
): SyncOptions {
  return {
    ...{ source, target, databases, rules, tools, action, confirm, onApplying },
    copy: completeCopySettings(choices),
    sync: completeSyncSettings(sync),
  };
}
