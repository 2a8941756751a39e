/**
 * Options of the commands, and the context in which they run.
 *
 * @module
 */
import type {
  DumpToolChoice,
  IdentityPolicy,
  RepairMode,
  RestoreSearchPath,
  StatisticsSource,
  ToastCompressionChoice,
} from "../../config/internal.ts";
import type { EventSink, Lsn } from "../../core/internal.ts";
import type { CheckpointStores } from "../../checkpoint/internal.ts";
import type { CopySettings } from "../../copy/internal.ts";
import type { InitPlan } from "./init_plan.ts";
import type { InitReport } from "./init_report.ts";
import type { SyncPlan } from "./sync_report.ts";
import type { Endpoint } from "../../postgres/internal.ts";
import type { TableRules } from "../../rules/internal.ts";
import type { VerifyJournal } from "../../verify/internal.ts";

/** The caller's side of a running command. */
export interface RunContext {
  /** Receives progress, warnings and retries as they happen. */
  readonly events: EventSink;
  /** Ends the command, which throws the signal's reason after all sessions are closed. */
  readonly signal: AbortSignal;
}

/** Which databases, and their names on the target. */
export interface DatabaseSelection {
  /** Names or wildcards (`*`); empty for all. Mutually exclusive with `exclude`. */
  readonly include: readonly string[];
  /** Names or wildcards (`*`) to leave out. Mutually exclusive with `include`. */
  readonly exclude: readonly string[];
  /**
   * Source name → target name. Without an entry the name stays, except that a single selected
   * database gets the name in the target's URL, unless that is `postgres` or `template1`.
   */
  readonly map: Readonly<Record<string, string>>;
}

/** Which programs dump schema and globals. */
export interface ToolSelection {
  /** `auto`: installed programs if they are new enough, otherwise the embedded ones. */
  readonly dump: DumpToolChoice;
  /** A folder that is searched before the `PATH`. */
  readonly binDirectory: string | undefined;
  /** `PATH` and other variables that the programs need. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** What `validate` checks. */
export interface ValidateOptions {
  /** The server to copy from. */
  readonly source: Endpoint;
  /** The server to copy to. */
  readonly target: Endpoint;
  /** Databases to check, and their names on the target. */
  readonly databases: DatabaseSelection;
  /** Which tables, and which of their rows. */
  readonly rules: TableRules;
  /** Which pg_dump and pg_dumpall `init` would use. */
  readonly tools: ToolSelection;
  /** Whether a missing prerequisite of replication is a failure; otherwise it is a warning. */
  readonly forSync: boolean;
  /** Whether the requirements of the next step of a cutover are checked, in place of a copy's. */
  readonly forCutover: boolean;
  /** With replication: how `init` will treat tables without a usable replica identity. */
  readonly identity: IdentityPolicy;
  /** With replication: what will apply the changes. */
  readonly apply: ApplySettings;
  /** Under which `search_path` `init` will compute values. */
  readonly restoreSearchPath: RestoreSearchPath;
  /** Whether non-empty databases of the target will be dropped. */
  readonly dropExisting: boolean;
  /**
   * Whether an unfinished copy of the same source is resumed; false drops it and starts over. A
   * copy that is complete except for the end of its run is dropped only with `dropExisting`.
   */
  readonly resume: boolean;
  /** See `planDatabases`. */
  readonly claim: (targets: readonly string[]) => Promise<void>;
  /** How long to wait for a run that is copying into one of them; 0 reports it at once. */
  readonly runGraceMs: number;
  /** Sessions that `init` would open on each side at once. */
  readonly jobs: number;
}

/** A copied database whose snapshot can still be imported on the source. */
export interface HeldSnapshot {
  /** Its name on the source. */
  readonly database: string;
  /** Its name on the target. */
  readonly target: string;
  /** For `SET TRANSACTION SNAPSHOT` on the source: sees exactly what was copied. */
  readonly snapshot: string;
}

/**
 * Called after all rows are copied and before the snapshot is released, so that both sides can be
 * compared.
 */
export type SnapshotHook = (held: HeldSnapshot) => Promise<void>;

/** What applies the changes. */
export interface ApplySettings {
  /**
   * `target`: a subscription of the target's server; `here`: this process; `auto`: a subscription
   * where that works, otherwise this process.
   */
  readonly applyFrom: "auto" | "here" | "target";
  /**
   * The source at the address by which the target's server connects to it; undefined for the same
   * address. Its database is ignored.
   */
  readonly sourceFromTarget: Endpoint | undefined;
  /**
   * A file on the target's server with the source's password, which otherwise is stored in the
   * target's catalog.
   */
  readonly passfile: string | undefined;
}

/** How replication is set up. */
export interface SyncSettings extends ApplySettings {
  /** What is done about tables without a usable replica identity. */
  readonly identity: IdentityPolicy;
  /** How long a new slot may wait for running transactions, in milliseconds. */
  readonly slotTimeoutMs: number;
  /** Whether standbys of the source synchronize the slots (17+). */
  readonly failover: boolean;
  /** The current time, ISO 8601; recorded in the publications. */
  readonly now: string;
}

/** What `init` does. */
export interface InitOptions {
  /** The server to copy from. */
  readonly source: Endpoint;
  /** The server to copy to. */
  readonly target: Endpoint;
  /** Databases to copy, and their names on the target. */
  readonly databases: DatabaseSelection;
  /** Which tables, and which of their rows. */
  readonly rules: TableRules;
  /** Which pg_dump and pg_dumpall to use. */
  readonly tools: ToolSelection;
  /** How rows are copied. */
  readonly copy: CopySettings;
  /** Indexes and keys built at once. */
  readonly indexJobs: number;
  /** Where planner statistics come from; `source` means ANALYZE for a target before 18. */
  readonly statistics: StatisticsSource;
  /** How copied values are compressed in columns without a setting of their own. */
  readonly toastCompression: ToastCompressionChoice;
  /**
   * Under which `search_path` checks, generated columns, index expressions and materialized views
   * are computed: an empty one, as with pg_dump and psql, or that of the target's database and
   * role.
   */
  readonly restoreSearchPath: RestoreSearchPath;
  /** Whether non-empty databases of the target are dropped. */
  readonly dropExisting: boolean;
  /** Replication, which starts before the rows are read; undefined for a copy alone. */
  readonly sync: SyncSettings | undefined;
  /**
   * Where the state of the run is stored, so that the same command resumes it; undefined to rely on
   * the ledgers in the target alone.
   */
  readonly checkpoint: CheckpointStores | undefined;
  /** Whether to resume an earlier attempt; false drops what it copied and starts over. */
  readonly resume: boolean;
  /**
   * Whether a later attempt may copy tables from a later snapshot if the first one is gone.
   */
  readonly allowMixedSnapshots: boolean;
  /** Delays before a database is attempted again after a transient failure. */
  readonly databaseRetryDelaysMs: readonly number[];
  /** Whether to stop after the plan. */
  readonly dryRun: boolean;
  /**
   * When the short copy is measured that predicts the duration: `before` the plan is shown, which
   * then contains the prediction, or `alongside` the first steps, because nobody waits for it.
   */
  readonly prediction: "before" | "alongside";
  /** The clock, for the time that the run's state and ledgers record. */
  readonly now: () => Date;
  /** Receives the plan before anything is changed; false ends the run. */
  readonly confirm: (plan: InitPlan) => Promise<boolean>;
  /** Called per database when its rows are copied, before its snapshot is released. */
  readonly whileSnapshotHeld: SnapshotHook;
  /**
   * Receives the report of a run that fails before everything is copied; then the error is thrown.
   */
  readonly onUnfinished: (report: InitReport) => Promise<void>;
}

/** What `verify` compares, and what it does with differences. */
export interface VerifyOptions {
  /** The server to compare with. */
  readonly source: Endpoint;
  /** The server to compare, and to repair with `follow`. */
  readonly target: Endpoint;
  /** Databases to compare, and their names on the target. */
  readonly databases: DatabaseSelection;
  /** Which tables, and which of their rows. */
  readonly rules: TableRules;
  /** Sessions on each server. */
  readonly jobs: number;
  /** Limit on the differing rows that are listed for each table. */
  readonly maxDiffs: number;
  /** Whether the report may contain values of rows, keys included. */
  readonly showValues: boolean;
  /**
   * `follow`: makes the target equal to the source; `print`: only reports the statements that
   * would.
   */
  readonly repair: RepairMode;
  /** What an interrupted run found to be equal; undefined to compare everything. */
  readonly journal: VerifyJournal | undefined;
  /** The clock, for the report. */
  readonly now: () => Date;
}

/** Tables that are copied under a slot of their own. */
export interface CopyAction {
  /** Always `copy`. */
  readonly kind: "copy";
  /** `[[database.]schema.]table` with wildcards; `*` for all. */
  readonly tables: readonly string[];
  /**
   * Whether the target does not have the tables yet, and they are created first; otherwise they are
   * emptied.
   */
  readonly areNew: boolean;
}

/** What `sync` does before replication continues. */
export type SyncAction =
  | { readonly kind: "follow" }
  | CopyAction
  /** Skip the transaction that ends there, for the one subscription that fails. */
  | { readonly kind: "skip"; readonly lsn: Lsn }
  /** Enable subscriptions that an error has disabled. */
  | { readonly kind: "retry" };

/** What `sync` does. */
export interface SyncOptions {
  /** The server to replicate from. */
  readonly source: Endpoint;
  /** The server to replicate to. */
  readonly target: Endpoint;
  /** Databases to replicate, and their names on the target. */
  readonly databases: DatabaseSelection;
  /** Which tables are replicated; the same rules as for `init`. */
  readonly rules: TableRules;
  /** Which pg_dump to use for tables that are new on the target. */
  readonly tools: ToolSelection;
  /** How rows are copied. */
  readonly copy: CopySettings;
  /** How publications, slots and subscriptions are set up. */
  readonly sync: SyncSettings;
  /** What is done before replication continues. */
  readonly action: SyncAction;
  /** Receives the plan before tables of the target are emptied or created; false ends the run. */
  readonly confirm: (plan: SyncPlan) => Promise<boolean>;
  /**
   * Called once if this process applies changes: when each of its streams has applied a
   * transaction, has everything that the source had, or waits for another command.
   */
  readonly onApplying: () => Promise<void>;
}
