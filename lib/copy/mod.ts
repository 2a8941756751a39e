/**
 * The copy engine: rows, large objects, indexes and keys, statistics.
 *
 * Requires `--allow-net` for both servers.
 *
 * @example Plan how tables would be copied, as of one moment
 * ```ts
 * import {
 *   defaultCopySettings,
 *   exportLockedSnapshot,
 *   planCopy,
  type StatisticsRestorer,
  type StatisticsSummary,
 * } from "@seren/postgres-replicator/copy";
 * import { resolveEndpoint } from "@seren/postgres-replicator/postgres";
 *
 * const { snapshot, tables } = await exportLockedSnapshot(
 *   await resolveEndpoint(Deno.env.get("SOURCE_URL")!, { side: "source" }),
 *   { signal: AbortSignal.timeout(60_000), select: undefined },
 * );
 * await using _held = snapshot; // the tables stay locked against DROP and ALTER while it is held
 * const parts = planCopy(tables, {
 *   sourceMajor: 17,
 *   encoding: "UTF8",
 *   settings: { ...defaultCopySettings, jobs: 8 },
 *   predicateOf: () => undefined,
 *   keyBounds: new Map(),
 * });
 * console.log(`${tables.length} tables in ${parts.length} parts`);
 * ```
 *
 * @module
 */
export {
  type AnalyzeOptions,
  analyzeTables,
  type BlockRange,
  type CollectedTable,
  type CopiedTable,
  type CopyFormat,
  copyLargeObjects,
  type CopyLargeObjectsOptions,
  type CopyPart,
  type CopyPlanOptions,
  type CopyProgress,
  type CopyRetry,
  type CopySettings,
  copyTables,
  type CopyTablesOptions,
  copyThreadsFor,
  type CopyWork,
  type CopyWorkerJob,
  type CopyWorkerRunner,
  copyWorkersHere,
  defaultCopySettings,
  exportLockedSnapshot,
  ignoreCopyProgress,
  type KeyRange,
  type LockedSnapshot,
  type LockOptions,
  type PartRange,
  type PartRecord,
  planCopy,
  type StatisticsRestorer,
  type StatisticsSummary,
  type ThrottleLimits,
  type ThrottleSettings,
  type ToastChoice,
} from "./internal.ts";
