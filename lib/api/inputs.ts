/**
 * The input of the library's verbs: two URLs, and everything else with a default.
 *
 * @module
 */
import type {
  CopyFormatChoice,
  IdentityPolicy,
  RepairMode,
  RestoreSearchPath,
  StatisticsSource,
  ToastCompressionChoice,
} from "../config/internal.ts";
import type { CheckpointStores } from "../checkpoint/internal.ts";
import type { CleanupPlan } from "../commands/cleanup/cleanup.ts";
import type { InitPlan } from "../commands/shared/init_plan.ts";
import type { InitReport } from "../commands/shared/init_report.ts";
import type { SyncPlan } from "../commands/shared/sync_report.ts";
import type {
  DatabaseSelection,
  SnapshotHook,
  SyncAction,
  ToolSelection,
} from "../commands/shared/run.ts";
import type { EventSink } from "../core/internal.ts";
import type { Endpoint, ResolveEnvironment } from "../postgres/internal.ts";
import type { RuleFlags, TableRules } from "../rules/internal.ts";
import type { VerifyJournal } from "../verify/internal.ts";

/** The caller's side of a running verb. */
export interface RunInput {
  /**
   * Receives progress, warnings and retries while the verb runs.
   *
   * @default {ignoreEvents}
   */
  readonly events?: EventSink | undefined;
  /**
   * Ends the verb, which closes its sessions and then throws the signal's reason. Default: it runs
   * to its end.
   */
  readonly signal?: AbortSignal | undefined;
}

/** The two servers. */
export interface ServersInput {
  /** A connection URL as for `psql`, or what {@linkcode resolveEndpoint} made of one. */
  readonly source: string | Endpoint;
  /** A connection URL as for `psql`, or what {@linkcode resolveEndpoint} made of one. */
  readonly target: string | Endpoint;
  /**
   * What URLs are resolved against: `PG*` variables, `~/.pgpass`, certificates. The library reads
   * neither the environment nor files of its own accord; {@linkcode ResolveEnvironment} has an
   * example that does what `psql` does.
   *
   * @default {emptyEnvironment}
   */
  readonly environment?: ResolveEnvironment | undefined;
  /** Which databases, and their names on the target. Default: all, under the same names. */
  readonly databases?: Partial<DatabaseSelection> | undefined;
}

/** The two servers, and which rows of them. */
export interface ScopeInput extends ServersInput {
  /** Filters in the syntax of the command-line flags: `{ excludeTables: ["app.audit_log"] }`. */
  readonly filters?: Partial<RuleFlags> | undefined;
  /**
   * Rules already parsed, for example from a configuration file. A filter replaces those for the
   * same tables. Default: every row of every table.
   */
  readonly rules?: TableRules | undefined;
}

/** The two servers, and how the schema is read from the source. */
export interface CopyInput extends ScopeInput {
  /**
   * Which `pg_dump` to use, and the variables that it runs with. Default: the embedded one, unless
   * `environment.PATH` leads to an installed one that is new enough.
   */
  readonly tools?: Partial<ToolSelection> | undefined;
  /**
   * Tables copied in parallel: two sessions each, one per server.
   *
   * @default {4}
   */
  readonly jobs?: number | undefined;
}

/** What `validate` checks. */
export interface ValidateInput extends CopyInput {
  /**
   * Whether the prerequisites of replication are required; otherwise what is missing is a warning.
   *
   * @default {false}
   */
  readonly forSync?: boolean | undefined;
  /**
   * Whether the requirements of the next step of a cutover are checked, in place of a copy's.
   *
   * @default {false}
   */
  readonly forCutover?: boolean | undefined;
  /**
   * For replication: what `init` will do about tables without a usable replica identity.
   *
   * @default {"fail"}
   */
  readonly identity?: IdentityPolicy | undefined;
  /**
   * For replication: what will apply the changes.
   *
   * @default {"auto"}
   */
  readonly applyFrom?: "auto" | "here" | "target" | undefined;
  /**
   * The `search_path` under which `init` will compute values.
   *
   * @default {"empty"}
   */
  readonly restoreSearchPath?: RestoreSearchPath | undefined;
  /**
   * Whether `init` will drop target databases that are not empty.
   *
   * @default {false}
   */
  readonly dropExisting?: boolean | undefined;
}

/** How replication is set up. */
export interface ReplicationInput {
  /**
   * What is done about tables without a usable replica identity. `full` alters tables of the
   * source; `cleanup` undoes that.
   *
   * @default {"fail"}
   */
  readonly identity?: IdentityPolicy | undefined;
  /**
   * How long to wait for transactions that a new slot has to wait for, in milliseconds.
   *
   * @default {300_000}
   */
  readonly slotTimeoutMs?: number | undefined;
  /**
   * What applies the changes of new streams: `target`, a subscription of the target's server;
   * `here`, this process, in {@linkcode sync}, which then runs until it is aborted; `auto`, a
   * subscription where that works, otherwise this process.
   *
   * @default {"auto"}
   */
  readonly applyFrom?: "auto" | "here" | "target" | undefined;
  /** The source under the address at which the target's server reaches it. Default: `source`. */
  readonly sourceFromTarget?: string | Endpoint | undefined;
  /**
   * A password file on the target's server, by its full path. Without one, the source's password is
   * stored in the target's catalog.
   */
  readonly passfile?: string | undefined;
  /**
   * Whether standbys of the source keep the slots in sync (PostgreSQL 17 and later).
   *
   * @default {true}
   */
  readonly failover?: boolean | undefined;
}

/** What `init` copies, and how. */
export interface InitInput extends CopyInput {
  /**
   * Indexes and keys built in parallel.
   *
   * @default {jobs}
   */
  readonly indexJobs?: number | undefined;
  /**
   * `auto`: binary where it means the same on both servers, text elsewhere.
   *
   * @default {"auto"}
   */
  readonly copyFormat?: CopyFormatChoice | undefined;
  /**
   * Planner statistics. `source`: the source's, where the target can restore them (PostgreSQL 18
   * and later), otherwise those of ANALYZE; `analyze`: those of ANALYZE on the target; `none`: they
   * are not collected.
   *
   * @default {"source"}
   */
  readonly statistics?: StatisticsSource | undefined;
  /**
   * How copied values are compressed in columns without a setting of their own: `lz4` (pglz where
   * the target does not support it), `pglz`, or `source`, as new values of the source.
   *
   * @default {"lz4"}
   */
  readonly toastCompression?: ToastCompressionChoice | undefined;
  /**
   * The `search_path` under which checks, generated columns, index expressions and materialized
   * views are computed: empty, as with `pg_dump` and `psql`, or the target database's own.
   *
   * @default {"empty"}
   */
  readonly restoreSearchPath?: RestoreSearchPath | undefined;
  /**
   * Web Workers that copy rows; 0 copies in the calling thread. They need `worker-options`, an
   * unstable feature of Deno.
   *
   * @default {0}
   */
  readonly copyThreads?: number | undefined;
  /**
   * Tables larger than this, in bytes, are copied in parts, several in parallel.
   *
   * @default {268_435_456}
   */
  readonly splitBytes?: number | undefined;
  /** Maximum bytes per second read from the source, by all sessions. Default: no limit. */
  readonly maxBytesPerSecond?: number | undefined;
  /**
   * Whether target databases that are not empty are dropped. The plan shows what will be lost.
   *
   * @default {false}
   */
  readonly dropExisting?: boolean | undefined;
  /**
   * Whether the target follows the source after the copy, and how that is set up.
   *
   * @default {false}
   */
  readonly sync?: boolean | ReplicationInput | undefined;
  /**
   * Where the run records its state, so that the same call resumes it from any machine that has
   * the record. Default: nowhere; the ledger in the target is enough to resume.
   */
  readonly checkpoint?: CheckpointStores | undefined;
  /**
   * Whether to resume an interrupted run; false drops what it has copied and starts over.
   *
   * @default {true}
   */
  readonly resume?: boolean | undefined;
  /**
   * Whether a resumed run may copy the remaining tables as of a later moment when the first
   * snapshot is gone.
   *
   * @default {false}
   */
  readonly allowMixedSnapshots?: boolean | undefined;
  /**
   * Delays before a session is opened again after a transient failure, in milliseconds.
   *
   * @default {[200, 1_000, 2_000, 4_000, 8_000]}
   */
  readonly sessionRetryDelaysMs?: readonly number[] | undefined;
  /**
   * Delays before a database is attempted again after a transient failure, in milliseconds.
   *
   * @default {[1_000, 2_000, 4_000, 8_000, 15_000, 30_000]}
   */
  readonly databaseRetryDelaysMs?: readonly number[] | undefined;
  /**
   * Stop after the plan, which `confirm` receives.
   *
   * @default {false}
   */
  readonly dryRun?: boolean | undefined;
  /**
   * Receives the plan before anything is changed; false ends the run with both servers untouched.
   * Default: yes.
   */
  readonly confirm?: Confirm<InitPlan> | undefined;
  /**
   * Called when every row is copied and the snapshot can still be imported, so that both sides can
   * be compared.
   */
  readonly whileSnapshotHeld?: SnapshotHook | undefined;
  /** Receives the report of a run that fails, before the error is thrown. */
  readonly onUnfinished?: ((report: InitReport) => Promise<void>) | undefined;
}

/** What `sync` does before it waits for the target to catch up. */
export interface SyncInput extends CopyInput, ReplicationInput {
  /**
   * Tables larger than this, in bytes, are copied in parts, several in parallel.
   *
   * @default {268_435_456}
   */
  readonly splitBytes?: number | undefined;
  /**
   * Copy tables again, add tables, skip a transaction, or retry after an error. Default: only
   * follow, as `{ kind: "follow" }` does.
   */
  readonly action?: SyncAction | undefined;
  /**
   * Receives the plan before tables of the target are truncated or created; false ends the run.
   * Default: yes.
   */
  readonly confirm?: Confirm<SyncPlan> | undefined;
}

/** What `status` reads. */
export interface StatusInput extends ServersInput {
  /**
   * How long rates are measured, in milliseconds.
   *
   * @default {1_000}
   */
  readonly sampleMs?: number | undefined;
  /** The clock, for the report. Default: the system's. */
  readonly now?: (() => Date) | undefined;
}

/** What `verify` compares, and what it does about differences. */
export interface VerifyInput extends ScopeInput {
  /**
   * Sessions that read in parallel on each server.
   *
   * @default {4}
   */
  readonly jobs?: number | undefined;
  /**
   * Maximum number of differing rows listed per table.
   *
   * @default {20}
   */
  readonly maxDiffs?: number | undefined;
  /**
   * Whether the report may contain values of rows, keys included.
   *
   * @default {true}
   */
  readonly showValues?: boolean | undefined;
  /**
   * `follow` writes to the target until it equals the source; `print` reports the statements that
   * would.
   *
   * @default {"no"}
   */
  readonly repair?: RepairMode | undefined;
  /** What an interrupted run found equal. Default: everything is compared. */
  readonly journal?: VerifyJournal | undefined;
  /** The clock, for the report. Default: the system's. */
  readonly now?: (() => Date) | undefined;
}

/** What `cleanup` removes. */
export interface CleanupInput extends ServersInput {
  /** Where runs record their state, as for `init`. Default: records outside the target stay. */
  readonly checkpoint?: CheckpointStores | undefined;
  /** Receives the plan before anything is removed; false ends the run. Default: yes. */
  readonly confirm?: Confirm<CleanupPlan> | undefined;
}

/** The input of each verb. */
export interface VerbInputs {
  /** Input of `validate`: which servers and requirements to check. */
  readonly validate: ValidateInput;
  /** Input of `init`: what is copied, and whether replication follows. */
  readonly init: InitInput;
  /** Input of `sync`: how replication continues. */
  readonly sync: SyncInput;
  /** Input of `status`: streams to read. */
  readonly status: StatusInput;
  /** Input of `verify`: what is compared, and whether it is repaired. */
  readonly verify: VerifyInput;
  /** Input of `cleanup`: objects to remove. */
  readonly cleanup: CleanupInput;
}

/** Answers a plan: whether to carry it out. */
export type Confirm<Plan> = (plan: Plan) => boolean | Promise<boolean>;
