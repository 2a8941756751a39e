/** The version of the job specification that this release reads and writes. */
export const specVersion = "1.0";

/** Largest body of a request, in bytes. */
export const maxBodyBytes: number = 15 * 1024;

/** Longest connection URL, in bytes. */
export const maxUrlBytes = 2048;

/**
 * Longest time that a job may be given, in seconds: three weeks (a timer of JavaScript reaches 24
 * days).
 */
export const maxTimeoutSeconds: number = 21 * 24 * 3600;

/** What a job may do. */
export const jobCommands = ["init", "validate", "sync", "status", "verify"] as const;
/** One of {@linkcode jobCommands}. */
export type JobCommand = typeof jobCommands[number];

/** Which databases of the source. */
export interface JobFilters {
  /** Empty: all. */
  readonly include_databases: readonly string[];
  readonly exclude_databases: readonly string[];
  /** Source name → target name. */
  readonly map: Readonly<Record<string, string>>;
}

/** Where a rule came from: one of a flag counts more than one of a file. */
export type JobRuleOrigin = "flag" | "file";

/** Which tables, as `--include-tables` has them; with a database where the pattern has none. */
export type JobTableChoice = string | { readonly table: string; readonly database: string };

/** Rules about tables and rows, checked. */
export interface JobRules {
  readonly include_tables: readonly JobTableChoice[];
  readonly exclude_tables: readonly JobTableChoice[];
  readonly schema_only: readonly (
    | string
    | { readonly table: string; readonly origin: JobRuleOrigin }
  )[];
  /** Rows that match a condition of SQL. */
  readonly table_filters: readonly {
    readonly table: string;
    readonly where: string;
    readonly origin: JobRuleOrigin;
  }[];
  /** Rows of the last time: `6 months`. */
  readonly time_filters: readonly {
    readonly table: string;
    readonly column: string;
    readonly last: string;
    readonly origin: JobRuleOrigin;
  }[];
  /**
   * The moment that time windows reach back from (ISO 8601); when the job is taken in, unless it is
   * given.
   */
  readonly now?: string | undefined;
}

/** Rules about tables and rows, as a client writes them. */
export interface JobRulesInput {
  readonly include_tables?: readonly JobTableChoice[] | undefined;
  readonly exclude_tables?: readonly JobTableChoice[] | undefined;
  readonly schema_only?:
    | readonly (
      | string
      | { readonly table: string; readonly origin?: JobRuleOrigin | undefined }
    )[]
    | undefined;
  readonly table_filters?:
    | readonly {
      readonly table: string;
      readonly where: string;
      readonly origin?: JobRuleOrigin | undefined;
    }[]
    | undefined;
  readonly time_filters?:
    | readonly {
      readonly table: string;
      readonly column: string;
      readonly last: string;
      readonly origin?: JobRuleOrigin | undefined;
    }[]
    | undefined;
  readonly now?: string | undefined;
}

/** What concerns replication in the options of `init` and `sync`. */
export interface JobReplicationOptions {
  readonly replica_identity?: "fail" | "full" | "skip" | undefined;
  readonly slot_timeout_seconds?: number | undefined;
  /** A file on the target's server. */
  readonly subscription_passfile?: string | undefined;
}

/** Options of a job that copies databases. */
export interface InitJobOptions extends JobReplicationOptions {
  /** Sessions on each side, of each worker. */
  readonly jobs?: number | undefined;
  readonly index_jobs?: number | undefined;
  readonly copy_format?: "auto" | "text" | "binary" | undefined;
  /** Under which `search_path` values are computed. */
  readonly restore_search_path?: "empty" | "own" | undefined;
  /** In bytes; larger tables are copied in parts. */
  readonly split_bytes?: number | undefined;
  readonly drop_existing?: boolean | undefined;
  /** Gives the plan and changes nothing. */
  readonly dry_run?: boolean | undefined;
  /** The most that is read from the source, in bytes a second. */
  readonly max_bytes_per_second?: number | undefined;
  /** False drops what an earlier job has left unfinished, and begins anew. */
  readonly resume?: boolean | undefined;
  /**
   * When a worker was lost and the source has been written to since: go on with the rest as it is
   * now. Without it the copy begins anew, because tables of two moments do not fit together.
   */
  readonly allow_mixed_snapshots?: boolean | undefined;
  /** Hand over to replication. */
  readonly enable_sync?: boolean | undefined;
  /** Workers that copy rows: one leads, the others help as they are free. */
  readonly workers?: number | undefined;
}

/** Options of a job that checks both servers. */
export interface ValidateJobOptions {
  readonly jobs?: number | undefined;
  readonly drop_existing?: boolean | undefined;
  readonly for_sync?: boolean | undefined;
}

/** What a `sync` job does before it follows: nothing, unless one of these is given. */
export type SyncJobAction =
  | { readonly kind: "follow" }
  | { readonly kind: "retry" }
  /** Leaves out the transaction that ends at this LSN: `0/16B3748`. */
  | { readonly kind: "skip"; readonly lsn: string }
  | { readonly kind: "copy"; readonly tables: readonly string[]; readonly are_new: boolean };

/** Options of a job that follows the source. */
export interface SyncJobOptions extends JobReplicationOptions {
  readonly jobs?: number | undefined;
  readonly split_bytes?: number | undefined;
  readonly action?: SyncJobAction | undefined;
}

/** Options of a job that compares both sides. */
export interface VerifyJobOptions {
  readonly jobs?: number | undefined;
  readonly max_diffs?: number | undefined;
  /** Whether values of differing rows may be in the report, which the service keeps. */
  readonly values?: boolean | undefined;
  readonly repair?: "no" | "print" | "follow" | undefined;
}

/** A job that tells where replication stands has no options. */
export type StatusJobOptions = Readonly<Record<string, never>>;

/** What each command may be told. */
export interface JobOptions {
  readonly init: InitJobOptions;
  readonly validate: ValidateJobOptions;
  readonly sync: SyncJobOptions;
  readonly status: StatusJobOptions;
  readonly verify: VerifyJobOptions;
}

/** Where a job runs from and to, and what limits it. */
export interface JobPlaces {
  readonly schema_version: typeof specVersion;
  readonly source_url: string;
  readonly target_url: string;
  /** The source by the address at which the target's server reaches it, for replication. */
  readonly source_from_target_url?: string | undefined;
  /** After this time the job is ended for good, whatever it has done. */
  readonly timeout_seconds?: number | undefined;
  /**
   * How much there is to copy, to choose the workers by; without it the first worker of `init`
   * measures.
   */
  readonly estimated_bytes?: number | undefined;
}

/** What every job has, as a client writes it. */
export interface JobSpecInputBase extends JobPlaces {
  readonly filters?:
    | { readonly [Key in keyof JobFilters]?: JobFilters[Key] | undefined }
    | undefined;
  readonly rules?: JobRulesInput | undefined;
}

/** What every job has. */
export interface JobSpecBase extends JobPlaces {
  readonly filters: JobFilters;
  readonly rules: JobRules;
}

/**
 * A job as a client writes it: the body of `POST /v1/jobs`. Strict: what is not named here is
 * refused.
 *
 * The URLs and the conditions of `rules` are kept encrypted and are never given back.
 */
export type JobSpecInput = {
  readonly [Command in JobCommand]: JobSpecInputBase & {
    readonly command: Command;
    readonly options?: JobOptions[Command] | undefined;
  };
}[JobCommand];

/** A job that was checked; no defaults remain open. */
export type JobSpec = {
  readonly [Command in JobCommand]: JobSpecBase & {
    readonly command: Command;
    readonly options: JobOptions[Command];
  };
}[JobCommand];
