/**
 * Moves live PostgreSQL databases from one server to another.
 *
 * One function for each phase of a migration: {@linkcode validate}, {@linkcode init}, {@linkcode
 * sync}, {@linkcode status}, {@linkcode verify}, {@linkcode cutoverPrepare} and the other cutover
 * verbs, {@linkcode cleanup}. Each takes two connection
 * URLs and defaults for the rest, sends progress to an event sink, obeys an `AbortSignal`, and
 * returns a plain report or throws a {@linkcode ReplicatorError}, which says what failed and what
 * to do next. The library reads no environment, prints nothing and never exits.
 *
 * The parts that the verbs are made of are modules of their own: `/postgres` (connections and the
 * row relay), `/rules` (filters), `/config` (configuration files), `/catalog`, `/schema`, `/copy`,
 * `/checkpoint`, `/replication`, `/verify`, `/remote` (jobs on a service), `/core` (errors, events)
 * and `/commands` (every type of options and reports).
 *
 * Requires `--allow-net` for both servers; see `docs/guides/permissions.md` for what else each part
 * needs.
 *
 * @example Copy a database
 * ```ts
 * import { init } from "@seren/postgres-replicator";
 *
 * const source = Deno.env.get("SOURCE_URL")!; // postgresql://me:secret@old.example.com/app
 * const target = Deno.env.get("TARGET_URL")!;
 * const databases = { include: ["app"] };
 * const report = await init({ source, target, databases, confirm: ({ bytes }) => bytes < 1e12 });
 * console.log(report === undefined ? "declined" : `${report.rows} rows copied`);
 * ```
 *
 * @module
 */
export { cleanup } from "./lib/api/cleanup.ts";
export {
  cutoverFinish,
  cutoverPrepare,
  cutoverRehearse,
  cutoverRollback,
  cutoverRun,
  cutoverStatus,
} from "./lib/api/cutover.ts";
export type {
  CutoverFinishInput,
  CutoverPrepareInput,
  CutoverRehearseInput,
  CutoverSwitchInput,
} from "./lib/api/cutover_inputs.ts";
export { init } from "./lib/api/init.ts";
export type {
  CleanupInput,
  Confirm,
  CopyInput,
  InitInput,
  ReplicationInput,
  RunInput,
  ScopeInput,
  ServersInput,
  StatusInput,
  SyncInput,
  ValidateInput,
  VerbInputs,
  VerifyInput,
} from "./lib/api/inputs.ts";
export { resolveOptions, type VerbOptions } from "./lib/api/resolve_options.ts";
export { status } from "./lib/api/status.ts";
export { sync } from "./lib/api/sync.ts";
export { validate } from "./lib/api/validate.ts";
export { verify } from "./lib/api/verify.ts";
export {
  type Check,
  checkStatus,
  type CleanupPlan,
  type CleanupReport,
  type CopyAction,
  type CutoverFinishPlan,
  type CutoverFinishReport,
  type CutoverPreparePlan,
  type CutoverPrepareReport,
  type CutoverRehearsal,
  type CutoverStatusReport,
  type CutoverSwitchPlan,
  type CutoverSwitchReport,
  type DatabaseSelection,
  type InitPlan,
  type InitReport,
  type RunContext,
  type ServerSummary,
  setAsideObjects,
  type SnapshotHook,
  type StatusCheck,
  type StatusLimits,
  StatusMonitor,
  type StatusReport,
  type SyncAction,
  type SyncPlan,
  type SyncReport,
  type ToolSelection,
  type ValidationReport,
  type VerifyReport,
} from "./lib/commands/mod.ts";
export {
  type EventSink,
  ExitCode,
  ignoreEvents,
  InterruptedError,
  type Lsn,
  type Problem,
  ReplicatorError,
  type RunEvent,
  type Side,
  UsageError,
} from "./lib/core/mod.ts";
export {
  type CheckpointStore,
  type CheckpointStores,
  FileCheckpointStore,
} from "./lib/checkpoint/mod.ts";
export {
  ConnectionError,
  emptyEnvironment,
  type Endpoint,
  resolveEndpoint,
  type ResolveEnvironment,
  ServerError,
} from "./lib/postgres/mod.ts";
export type { IdentityPolicy } from "./lib/replication/mod.ts";
export type { RuleFlags, TableRules } from "./lib/rules/mod.ts";
export type { Verdict, VerifyJournal } from "./lib/verify/mod.ts";
