/**
 * Configuration files: TOML with everything that flags can say about a migration.
 *
 * Requires no permissions: the caller reads the file and the environment.
 *
 * @example Read a configuration file
 * ```ts
 * import { readConfig } from "@seren/postgres-replicator/config";
 * import { deepStrictEqual } from "node:assert/strict";
 *
 * const { problems } = readConfig("jobs = 4\njobz = 5", {
 *   name: "migration.toml",
 *   lookUp: () => undefined,
 * });
 * deepStrictEqual(problems.map(({ path }) => path), ["migration.toml:2: jobz"]);
 * ```
 *
 * @module
 */
export {
  blockerPolicies,
  type BlockerPolicy,
  type CopyFormatChoice,
  copyFormats,
  type DumpToolChoice,
  dumpTools,
  type FenceKind,
  fenceKinds,
  type FinalCheck,
  finalChecks,
  identityPolicies,
  type IdentityPolicy,
  type RepairMode,
  repairModes,
  type RestoreSearchPath,
  restoreSearchPaths,
  type StatisticsSource,
  statisticsSources,
  type ToastCompressionChoice,
  toastCompressions,
  type WayBack,
  wayBacks,
} from "./options/choices.ts";
export {
  type Config,
  type ConfigReading,
  readConfig,
  type ReadConfigOptions,
} from "./read_config.ts";
export { type SavedChoice, writeChoice } from "./write_config.ts";
