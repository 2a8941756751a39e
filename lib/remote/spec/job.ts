import type { ruleSources } from "../../rules/internal.ts";
import type {
  CopyFormatChoice,
  IdentityPolicy,
  RepairMode,
  RestoreSearchPath,
  StatisticsSource,
  ToastCompressionChoice,
} from "../../config/internal.ts";
/** The version of the job specification that this release supports. */
export const specVersion = "1.0";

/** Maximum size of a request body, in bytes. */
export const maxBodyBytes: number = 15 * 1024;

/** Maximum length of a connection URL, in bytes. */
export const maxUrlBytes = 2048;

/**
 * Maximum timeout of a job, in seconds: three weeks (JavaScript timers are limited to 24 days).
 */
export const maxTimeoutSeconds: number = 21 * 24 * 3600;

/** The commands that can run as jobs. */
export const jobCommands = ["init", "validate", "sync", "status", "verify", "cutover"] as const;
/** One of {@linkcode jobCommands}. */
export type JobCommand = typeof jobCommands[number];

/** Selects databases of the source. */
export interface JobFilters {
  /** All databases if empty. */
  readonly include_databases: readonly string[];
  /** Names or wildcards (`*`) of databases to leave out. */
  readonly exclude_databases: readonly string[];
  /** Source name → target name. */
  readonly map: Readonly<Record<string, string>>;
}

/** Where a rule comes from: flags take precedence over files. */
export type JobRuleOrigin = typeof ruleSources[number];

/** Selects tables, as in `--include-tables`; with a database if the pattern has none. */
export type JobTableChoice = string | { readonly table: string; readonly database: string };

/** Validated rules for tables and rows. */
export interface JobRules {
  /** Tables to copy; all if empty. */
  readonly include_tables: readonly JobTableChoice[];
  /** Tables to leave out; none if empty. */
  readonly exclude_tables: readonly JobTableChoice[];
  /** Tables whose structure is copied without rows. */
  readonly schema_only: readonly (
    | string
    | { readonly table: string; readonly origin: JobRuleOrigin }
  )[];
  /** Copies only rows that match an SQL condition. */
  readonly table_filters: readonly {
    readonly table: string;
    readonly where: string;
    readonly origin: JobRuleOrigin;
  }[];
  /** Copies only recent rows, such as those of the last `6 months`. */
  readonly time_filters: readonly {
    readonly table: string;
    readonly column: string;
    readonly last: string;
    readonly origin: JobRuleOrigin;
  }[];
  /**
   * The time that time filters are relative to (ISO 8601); by default, when the job is accepted.
   */
  readonly now?: string | undefined;
}

/** Rules for tables and rows, as written by clients. */
export interface JobRulesInput {
  /** Tables to copy; all by default. */
  readonly include_tables?: readonly JobTableChoice[] | undefined;
  /** Tables to leave out; none by default. */
  readonly exclude_tables?: readonly JobTableChoice[] | undefined;
  /** Tables whose structure is copied without rows. */
  readonly schema_only?:
    | readonly (
      | string
      | { readonly table: string; readonly origin?: JobRuleOrigin | undefined }
    )[]
    | undefined;
  /** SQL conditions: only rows that match are copied. */
  readonly table_filters?:
    | readonly {
      readonly table: string;
      readonly where: string;
      readonly origin?: JobRuleOrigin | undefined;
    }[]
    | undefined;
  /** Time windows: only rows of the last `6 months` are copied. */
  readonly time_filters?:
    | readonly {
      readonly table: string;
      readonly column: string;
      readonly last: string;
      readonly origin?: JobRuleOrigin | undefined;
    }[]
    | undefined;
  /** End of time windows, ISO 8601; by default, when the job is accepted. */
  readonly now?: string | undefined;
}

/** Replication options of `init` and `sync`. */
export interface JobReplicationOptions {
  /** Tables without usable replica identity: reject, set FULL or leave out. */
  readonly replica_identity?: IdentityPolicy | undefined;
  /** How long a new slot may wait for running transactions, in seconds. */
  readonly slot_timeout_seconds?: number | undefined;
  /** What applies the changes: a subscription of the target, or the worker; by default `auto`. */
  readonly apply_from?: "auto" | "here" | "target" | undefined;
  /** A password file on the target server. */
  readonly subscription_passfile?: string | undefined;
}

/** Options of `init` jobs. */
export interface InitJobOptions extends JobReplicationOptions {
  /** Sessions per worker, on each side. */
  readonly jobs?: number | undefined;
  /** Indexes and constraints built in parallel; by default same as `jobs`. */
  readonly index_jobs?: number | undefined;
  /** Format of COPY; `auto` is binary where both servers agree. */
  readonly copy_format?: CopyFormatChoice | undefined;
  /** Planner statistics: the source's, those of ANALYZE on the target, or none. */
  readonly statistics?: StatisticsSource | undefined;
  /** Compression of large values in columns that do not set it. */
  readonly toast_compression?: ToastCompressionChoice | undefined;
  /** The `search_path` used while restoring. */
  readonly restore_search_path?: RestoreSearchPath | undefined;
  /** Tables larger than this, in bytes, are copied in parts. */
  readonly split_bytes?: number | undefined;
  /** Whether non-empty target databases are dropped; false by default. */
  readonly drop_existing?: boolean | undefined;
  /** Returns the plan without changing anything. */
  readonly dry_run?: boolean | undefined;
  /** Limits reads from the source, in bytes per second. */
  readonly max_bytes_per_second?: number | undefined;
  /** False drops what an earlier job left unfinished, and starts over. */
  readonly resume?: boolean | undefined;
  /**
   * Allows a copy to resume after a worker was lost and its snapshot with it, although the source
   * has changed since: the rest is copied from a later snapshot. Otherwise the copy starts over,
   * because tables from different snapshots may be inconsistent.
   */
  readonly allow_mixed_snapshots?: boolean | undefined;
  /** Starts replication after the copy. */
  readonly enable_sync?: boolean | undefined;
  /** Number of workers that copy rows: a coordinator, and helpers as workers become free. */
  readonly workers?: number | undefined;
}

/** Options of `validate` jobs. */
export interface ValidateJobOptions {
  /** Sessions that `init` would open on each side at once. */
  readonly jobs?: number | undefined;
  /** Whether `init` would drop non-empty target databases. */
  readonly drop_existing?: boolean | undefined;
  /** Whether missing requirements of replication are failures; otherwise warnings. */
  readonly for_sync?: boolean | undefined;
  /** Whether the requirements of the next step of a cutover are checked, in place of a copy's. */
  readonly for_cutover?: boolean | undefined;
}

/** What a `sync` job does before it follows the source. */
export type SyncJobAction =
  | { readonly kind: "follow" }
  | { readonly kind: "retry" }
  /** Skips the transaction that ends at this LSN, such as `0/16B3748`. */
  | { readonly kind: "skip"; readonly lsn: string }
  | { readonly kind: "copy"; readonly tables: readonly string[]; readonly are_new: boolean };

/** Options of `sync` jobs. */
export interface SyncJobOptions extends JobReplicationOptions {
  /** Tables copied in parallel: sessions on each side. */
  readonly jobs?: number | undefined;
  /** Tables larger than this, in bytes, are copied in parts. */
  readonly split_bytes?: number | undefined;
  /** What is done before replication continues; `follow` by default. */
  readonly action?: SyncJobAction | undefined;
}

/** Options of `verify` jobs. */
export interface VerifyJobOptions {
  /** Reading sessions on each side. */
  readonly jobs?: number | undefined;
  /** Limit on the differing rows listed for each table; 20 by default. */
  readonly max_diffs?: number | undefined;
  /** Whether the report, which the service stores, may contain values of differing rows. */
  readonly values?: boolean | undefined;
  /** `print` lists repairing statements, `follow` runs them on the target. */
  readonly repair?: RepairMode | undefined;
}

/** Options of `cutover` jobs. Each belongs to some actions; with others it is rejected. */
export interface CutoverJobOptions {
  /**
   * What is done; `status` by default. `run`, `rollback` and `finish` require a key with the scope
   * `cutover`, unless `dry_run` is set; so does `rehearse` with `brownout_ms`.
   */
  readonly action?:
    | "prepare"
    | "rehearse"
    | "run"
    | "rollback"
    | "finish"
    | "status"
    | undefined;
  /** Returns the plan without changing anything. For `prepare`, `run`, `rollback`, `finish`. */
  readonly dry_run?: boolean | undefined;
  /** How long writers may wait, in milliseconds. For `rehearse`, `run`, `rollback`. */
  readonly max_pause_ms?: number | undefined;
  /** Values that each sequence skips. For `rehearse`, `run`, `rollback`. */
  readonly sequence_margin?: number | undefined;
  /** What happens to sessions that hold locks on the tables. For `run`, `rollback`. */
  readonly on_blocker?: "wait" | "cancel" | "terminate" | undefined;
  /** How often to try to hold all writers at once. For `run`, `rollback`. */
  readonly barrier_attempts?: number | undefined;
  /** What is compared while writers wait. For `run`, `rollback`. */
  readonly final_check?: "structure" | "counts" | undefined;
  /** Whether client sessions of the closed side are left alone. For `run`, `rollback`. */
  readonly keep_sessions?: boolean | undefined;
  /** How long a new slot may wait for running transactions, in seconds. For `run`, `rollback`. */
  readonly slot_timeout_seconds?: number | undefined;
  /**
   * Makes writers wait, for at most this many milliseconds; no longer than `max_pause_ms`. For
   * `rehearse`.
   */
  readonly brownout_ms?: number | undefined;
  /** How often to measure the time that changes take to arrive. For `rehearse`. */
  readonly rehearse_tokens?: number | undefined;
  /** Whether the source follows the target after the cutover. For `prepare`. */
  readonly way_back?: "replicate" | "none" | undefined;
  /** How the source is closed; `sessions` is weaker. For `prepare`. */
  readonly fence?: "triggers" | "sessions" | undefined;
  /** A password file on the source's server. For `prepare`. */
  readonly way_back_passfile?: string | undefined;
  /** Whether the source accepts writes again. For `finish`. */
  readonly open_old_side?: boolean | undefined;
}

/** `status` jobs have no options. */
export type StatusJobOptions = Readonly<Record<string, never>>;

/** The options of each command. */
export interface JobOptions {
  /** Options of `init` jobs. */
  readonly init: InitJobOptions;
  /** Options of `validate` jobs. */
  readonly validate: ValidateJobOptions;
  /** Options of `sync` jobs. */
  readonly sync: SyncJobOptions;
  /** Options of `status` jobs: none. */
  readonly status: StatusJobOptions;
  /** Options of `verify` jobs. */
  readonly verify: VerifyJobOptions;
  /** Options of `cutover` jobs. */
  readonly cutover: CutoverJobOptions;
}

/** The servers of a job, and its limits. */
export interface JobServers {
  /** Version of the job specification: `1.0`. */
  readonly schema_version: typeof specVersion;
  /** Connection URL of the source, password included. */
  readonly source_url: string;
  /** Connection URL of the target, password included. */
  readonly target_url: string;
  /** The source's URL as seen from the target server, for replication. */
  readonly source_from_target_url?: string | undefined;
  /** The target's URL as seen from the source server, for the way back of `cutover prepare`. */
  readonly target_from_source_url?: string | undefined;
  /** The job fails if it has not finished by then. */
  readonly timeout_seconds?: number | undefined;
  /**
   * The amount of data to copy, which determines the queue; otherwise the first worker of an `init`
   * job measures it.
   */
  readonly estimated_bytes?: number | undefined;
}

/** The common part of all jobs, as written by clients. */
export interface JobSpecInputBase extends JobServers {
  /** Databases to process; all by default. */
  readonly filters?:
    | { readonly [Key in keyof JobFilters]?: JobFilters[Key] | undefined }
    | undefined;
  /** Tables and rows to process; all by default. */
  readonly rules?: JobRulesInput | undefined;
}

/** The common part of all jobs. */
export interface JobSpecBase extends JobServers {
  /** Databases to process. */
  readonly filters: JobFilters;
  /** Tables and rows to process. */
  readonly rules: JobRules;
}

/**
 * A job as written by clients: the body of `POST /v1/jobs`. Unknown properties are rejected.
 *
 * The URLs and the conditions in `rules` are stored encrypted and never returned.
 */
export type JobSpecInput = {
  readonly [Command in JobCommand]: JobSpecInputBase & {
    readonly command: Command;
    readonly options?: JobOptions[Command] | undefined;
  };
}[JobCommand];

/** A validated job. */
export type JobSpec = {
  readonly [Command in JobCommand]: JobSpecBase & {
    readonly command: Command;
    readonly options: JobOptions[Command];
  };
}[JobCommand];
