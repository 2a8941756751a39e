/**
 * What every command takes besides its options: where events go and what ends it.
 *
 * @module
 */
import type { EventSink, Lsn } from "../../core/internal.ts";
import type { CheckpointStores } from "../../checkpoint/internal.ts";
import type { CopySettings } from "../../copy/internal.ts";
import type { InitPlan, InitReport, SyncPlan } from "./report.ts";
import type { Endpoint } from "../../postgres/internal.ts";
import type { IdentityPolicy } from "../../replication/internal.ts";
import type { TableRules } from "../../rules/internal.ts";
import type { VerifyJournal } from "../../verify/internal.ts";

/** The caller's side of a running command. */
export interface RunContext {
  readonly events: EventSink;
  /** Ends the command; it then throws the signal's reason when everything has been closed. */
  readonly signal: AbortSignal;
}

/** Which databases, and what they are called on the target. */
export interface DatabaseSelection {
  /** Names or wildcards (`*`); empty means all. Not together with `exclude`. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  /** Source name → target name. */
  readonly map: Readonly<Record<string, string>>;
}

/** Which programs give schema and globals. */
export interface ToolSelection {
  /** `auto`: installed ones when new enough, else the embedded ones. */
  readonly dump: "auto" | "native" | "embedded";
  /** A folder to look in before the `PATH`. */
  readonly binDirectory: string | undefined;
  /** `PATH` and what the programs need of the environment. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** What `validate` looks at. */
export interface ValidateOptions {
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly databases: DatabaseSelection;
  /** Which tables, and which of their rows. */
  readonly rules: TableRules;
  readonly tools: ToolSelection;
  /** Whether a missing prerequisite of replication is a failure; otherwise it is a warning. */
  readonly forSync: boolean;
  /** With replication: how `init` will treat tables without a usable replica identity. */
  readonly identity: IdentityPolicy;
  /** Under which `search_path` `init` will compute values. */
  readonly restoreSearchPath: "empty" | "own";
  /** Whether non-empty databases of the target will be dropped. */
  readonly dropExisting: boolean;
  /** What happens to an unfinished copy on the target; see `planDatabases`. */
  readonly resume: ResumeMode;
  /** See `planDatabases`. */
  readonly claim: (targets: readonly string[]) => Promise<void>;
  readonly jobs: number;
}

/**
 * What happens to an unfinished copy of the same source: it is resumed, or dropped and started
 * over. A copy that lacks nothing but the end of its run is dropped with `dropExisting` only.
 */
export type ResumeMode = "yes" | "no";

/** A copied database whose snapshot still can be imported on the source. */
export interface HeldSnapshot {
  /** Its name on the source. */
  readonly database: string;
  /** Its name on the target. */
  readonly target: string;
  /** For `SET TRANSACTION SNAPSHOT` on the source: just what has been copied. */
  readonly snapshot: string;
}

/** Called when all rows are in and before the snapshot is let go: the time to compare. */
export type SnapshotHook = (held: HeldSnapshot) => Promise<void>;

/** How replication is set up. */
export interface SyncSettings {
  /** What is done about tables without a usable replica identity. */
  readonly identity: IdentityPolicy;
  /** Gives up waiting for transactions that a new slot has to wait for, in milliseconds. */
  readonly slotTimeoutMs: number;
  /**
   * The source by the address at which the target's server reaches it; undefined: by the same. Its
   * database does not count.
   */
  readonly sourceFromTarget: Endpoint | undefined;
  /**
   * A file on the target's server with the source's password, which is then not in the target's
   * catalog.
   */
  readonly passfile: string | undefined;
  /** Whether standbys of the source keep the slots in step (17+). */
  readonly failover: boolean;
  /** The present moment, ISO: written down with what is made. */
  readonly now: string;
}

/** What `init` does. */
export interface InitOptions {
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly databases: DatabaseSelection;
  /** Which tables, and which of their rows. */
  readonly rules: TableRules;
  readonly tools: ToolSelection;
  /** How rows are copied. */
  readonly copy: CopySettings;
  /** Indexes and keys built at once. */
  readonly indexJobs: number;
  /**
   * Under which `search_path` checks, generated columns, index expressions and materialized views
   * are computed: an empty one, as with pg_dump and psql, or that of the target's database and
   * role.
   */
  readonly restoreSearchPath: "empty" | "own";
  /** Whether non-empty databases of the target are dropped. */
  readonly dropExisting: boolean;
  /** Replication, which starts before the rows are read; undefined for a copy alone. */
  readonly sync: SyncSettings | undefined;
  /**
   * Where the state of the run is stored, so that the same command resumes it; undefined to rely on
   * the ledgers in the target alone.
   */
  readonly checkpoint: CheckpointStores | undefined;
  /** Version of the tool, for the checkpoint. */
  readonly version: string;
  /** Whether to resume an earlier attempt; false drops what it copied and starts over. */
  readonly resume: boolean;
  /**
   * Whether a later attempt may copy tables as of another moment when the snapshot of the first one
   * is gone.
   */
  readonly allowMixedSnapshots: boolean;
  /** Pauses before a database is attempted again after a transient failure. */
  readonly retryPausesMs: readonly number[];
  /** Whether to stop after the plan. */
  readonly dryRun: boolean;
  /** Receives the plan before anything is changed; false ends the run. */
  readonly confirm: (plan: InitPlan) => Promise<boolean>;
  readonly whileSnapshotHeld: SnapshotHook;
  /**
   * Receives the report of a run that fails before everything is copied; then the error is thrown.
   */
  readonly onUnfinished: (report: InitReport) => Promise<void>;
}

/** What `verify` compares, and what it does about differences. */
export interface VerifyOptions {
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly databases: DatabaseSelection;
  /** Which tables, and which of their rows. */
  readonly rules: TableRules;
  /** Sessions that read on each side at once. */
  readonly jobs: number;
  /** At most this many differing rows are listed for each table. */
  readonly maxDiffs: number;
  /** Whether values of rows, keys included, may be in the report. */
  readonly showValues: boolean;
  /**
   * `follow`: writes to the target what makes it equal to the source; `print`: only says what that
   * would be.
   */
  readonly repair: "no" | "print" | "follow";
  /** What an interrupted run found to be equal; undefined to compare everything. */
  readonly journal: VerifyJournal | undefined;
  /** The moment, for the report. */
  readonly now: () => Date;
}

/** Tables that are to be copied under a slot of their own. */
export interface CopyAction {
  readonly kind: "copy";
  /** `[[database.]schema.]table` with wildcards; `*` for all. */
  readonly tables: readonly string[];
  /**
   * Tables that the target does not have yet: they are made first. Else those that it has are
   * emptied.
   */
  readonly areNew: boolean;
}

/** What `sync` does before it follows. */
export type SyncAction =
  | { readonly kind: "follow" }
  | CopyAction
  /** Leave out the transaction that ends there, of the one subscription that fails. */
  | { readonly kind: "skip"; readonly lsn: Lsn }
  /** Switch on what an error has stopped. */
  | { readonly kind: "retry" };

/** What `sync` does. */
export interface SyncOptions {
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly databases: DatabaseSelection;
  readonly rules: TableRules;
  readonly tools: ToolSelection;
  /** How rows are copied. */
  readonly copy: CopySettings;
  readonly sync: SyncSettings;
  readonly action: SyncAction;
  /** Asked before tables of the target are emptied or made; false ends the run untouched. */
  readonly confirm: (plan: SyncPlan) => Promise<boolean>;
}
