/**
 * What verbs take once their options are resolved, and every part of the plans and reports that
 * they return: plain data, sizes in bytes, durations in milliseconds. The verbs themselves are
 * exported by the package.
 *
 * Requires `--allow-net` for both servers where a session is opened.
 *
 * @example Print the metrics of a replication for Prometheus
 * ```ts
 * import { resolveOptions } from "@seren/postgres-replicator";
 * import { prometheusMetrics, StatusMonitor } from "@seren/postgres-replicator/commands";
 *
 * const options = await resolveOptions("status", {
 *   source: Deno.env.get("SOURCE_URL")!,
 *   target: Deno.env.get("TARGET_URL")!,
 * });
 * await using monitor = new StatusMonitor(options, {
 *   events: () => {},
 *   signal: AbortSignal.timeout(60_000),
 * });
 * console.log(prometheusMetrics(await monitor.read()));
 * ```
 *
 * @module
 */
export { blockerPolicies, type BlockerPolicy } from "../config/internal.ts";
export {
  type ApplySettings,
  type BlockerStatus,
  type Check,
  type CheckStatus,
  checkStatus,
  cleanupExitCode,
  type CleanupFailure,
  type CleanupItem,
  type CleanupKind,
  type CleanupOptions,
  type CleanupPlan,
  type CleanupReport,
  type ClientErrorStatus,
  type ClientStatus,
  type CloseEvidence,
  type CopyAction,
  type CutoverDatabaseStatus,
  type CutoverFinishPlan,
  type CutoverFinishReport,
  type CutoverHook,
  cutoverHooks,
  type CutoverPhase,
  cutoverPhases,
  type CutoverPreparePlan,
  type CutoverPrepareReport,
  type CutoverRehearsal,
  type CutoverStatusReport,
  type CutoverSwitchedDatabase,
  type CutoverSwitchPlan,
  type CutoverSwitchReport,
  type DatabaseDecisions,
  type DatabasePlan,
  type DatabaseReport,
  type DatabaseSelection,
  type DatabaseStatus,
  type DriftStatus,
  type FinalComparison,
  type HeldSnapshot,
  type InitOptions,
  type InitPlan,
  type InitReport,
  type KeptItem,
  type PreflightFinding,
  prometheusMetrics,
  type PublicationStatus,
  type RepairReport,
  type RetryReport,
  type RunContext,
  type SequenceStatus,
  type ServerStatus,
  type ServerSummary,
  setAsideObjects,
  type SideStatements,
  type SlotStatus,
  type SnapshotHook,
  type SourceChanges,
  type StatusCheck,
  type StatusFinding,
  type StatusLimits,
  StatusMonitor,
  type StatusOptions,
  type StatusReport,
  type StepPrediction,
  type StepReport,
  type StreamState,
  streamStates,
  type StreamStatus,
  type SubscribedTableStatus,
  type SubscriptionStatus,
  type SwitchDirection,
  switchDirections,
  type SwitchedDatabase,
  type SwitchStep,
  type SyncAction,
  type SyncDatabaseReport,
  type SyncOptions,
  type SyncPlan,
  type SyncReport,
  type SyncSettings,
  type SyncStreamReport,
  type TableDecision,
  type TablePlan,
  type TableReport,
  type ThrottleReport,
  type TimelineEntry,
  type TokenEvidence,
  type ToolSelection,
  type TripwireFinding,
  type UnreachableSide,
  type ValidateOptions,
  type ValidationReport,
  type VerifyOptions,
  type VerifyReport,
  type WalStatusReport,
  type Warning,
} from "./internal.ts";
