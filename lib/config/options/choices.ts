/**
 * What options that offer a choice may be.
 *
 * @module
 */

/** Which pg_dump is used; `auto`: an installed one if it is new enough, otherwise the embedded. */
export const dumpTools = ["auto", "native", "embedded"] as const;

/** One of {@linkcode dumpTools}. */
export type DumpToolChoice = typeof dumpTools[number];

/** The format of COPY; `auto`: binary where it means the same on both servers, text elsewhere. */
export const copyFormats = ["auto", "text", "binary"] as const;

/** One of {@linkcode copyFormats}. */
export type CopyFormatChoice = typeof copyFormats[number];

/**
 * Where planner statistics come from: `source`, the source's where the target can restore them (18
 * and later), otherwise ANALYZE; `analyze`, ANALYZE on the target; `none`: they are not collected.
 */
export const statisticsSources = ["source", "analyze", "none"] as const;

/** One of {@linkcode statisticsSources}. */
export type StatisticsSource = typeof statisticsSources[number];

/**
 * How copied values are compressed in columns without a setting of their own: `source`, as new
 * values of the source; `lz4` and `pglz`, by that method.
 */
export const toastCompressions = ["lz4", "pglz", "source"] as const;

/** One of {@linkcode toastCompressions}. */
export type ToastCompressionChoice = typeof toastCompressions[number];

/**
 * The `search_path` under which the target computes values: an empty one, as with pg_dump and psql,
 * or that of its database and role.
 */
export const restoreSearchPaths = ["empty", "own"] as const;

/** One of {@linkcode restoreSearchPaths}. */
export type RestoreSearchPath = typeof restoreSearchPaths[number];

/** What is done about tables without a usable replica identity. */
export const identityPolicies = ["fail", "full", "skip"] as const;

/** One of {@linkcode identityPolicies}: reject them, set FULL, or leave them out. */
export type IdentityPolicy = typeof identityPolicies[number];

/**
 * What is done about differing rows: nothing, print the statements that would repair the target, or
 * run them.
 */
export const repairModes = ["no", "print", "follow"] as const;

/** One of {@linkcode repairModes}. */
export type RepairMode = typeof repairModes[number];

/** What happens to sessions that hold up the barrier of a cutover. */
export const blockerPolicies = ["wait", "cancel", "terminate"] as const;

/** One of {@linkcode blockerPolicies}. */
export type BlockerPolicy = typeof blockerPolicies[number];

/** What a cutover compares while writers wait: columns, or also the number of rows. */
export const finalChecks = ["structure", "counts"] as const;

/** One of {@linkcode finalChecks}. */
export type FinalCheck = typeof finalChecks[number];

/** Whether the former source follows the target after a cutover. */
export const wayBacks = ["replicate", "none"] as const;

/** One of {@linkcode wayBacks}. */
export type WayBack = typeof wayBacks[number];

/** How a side of a cutover is closed: by triggers, or, which is weaker, by ending its sessions. */
export const fenceKinds = ["triggers", "sessions"] as const;

/** One of {@linkcode fenceKinds}. */
export type FenceKind = typeof fenceKinds[number];

/** The states of a job: queued ⇄ running (lost worker, shutdown), then one of the final states. */
export const jobStates = [
  "queued",
  "running",
  "succeeded",
  "failed",
  "cancelled",
  "timed_out",
] as const;

/** One of {@linkcode jobStates}. */
export type JobState = typeof jobStates[number];
