/**
 * Results of the commands: plain data for a terminal, a JSON document, an HTML page or a service.
 * Sizes are bytes, durations milliseconds.
 *
 * @module
 */
import type { Side, StepName, TableName, ThrottleSubject, WorkKind } from "../../core/internal.ts";
import type { SetAsideObject } from "../../schema/internal.ts";
import type { ApplierKind } from "../../replication/internal.ts";
import type { NotChecked, Verdict, VerifiedDatabase } from "../../verify/internal.ts";

/** How a check of `validate` ended. */
export type CheckStatus = "pass" | "warn" | "fail";

/** One check of `validate`. */
export interface Check {
  /** Stable name for scripts: `target-empty`. */
  readonly id: string;
  /** How it ended. */
  readonly status: CheckStatus;
  /** The server that was checked. */
  readonly side: Side | "both";
  /** The database. */
  readonly database?: string;
  /** What was found, in a sentence. */
  readonly finding: string;
  /** The remedy; set for every warning and failure. */
  readonly fix?: string;
}

/** The outcome of `validate`. */
export interface ValidationReport {
  /** The source. */
  readonly source: ServerSummary;
  /** The target. */
  readonly target: ServerSummary;
  /** Every check. */
  readonly checks: readonly Check[];
  /** The effect of the rules on each database. */
  readonly scopes: readonly DatabaseDecisions[];
  /** How many checks passed. */
  readonly passed: number;
  /** How many checks warn. */
  readonly warnings: number;
  /** How many checks failed. */
  readonly failures: number;
}

/** What happens to a table, and why. */
export interface TableDecision {
  /** Its schema. */
  readonly schema: string;
  /** Its name. */
  readonly name: string;
  /** What happens to it. */
  readonly outcome: "copied" | "filtered" | "structure-only" | "left-out";
  /** Why. */
  readonly reason: string;
  /** Which rows of a filtered table are copied. */
  readonly predicate?: string;
}

/** What happens to the tables of a database. */
export interface DatabaseDecisions {
  /** Its name on the source. */
  readonly database: string;
  /** All tables, partitioned and foreign ones included. */
  readonly tables: readonly TableDecision[];
  /** Other objects that are excluded or may stay incomplete: views, foreign keys. */
  readonly notes: readonly string[];
}

/** A short description of a server. */
export interface ServerSummary {
  /** URL without password. */
  readonly url: string;
  /** `15.18` */
  readonly version: string;
  /** The provider, if recognized: `Amazon RDS`, `Neon`, … */
  readonly provider?: string;
  /** Whether the connection uses TLS. */
  readonly encrypted: boolean;
}

/** What `init` is about to do; shown by `--dry-run` and before the confirmation. */
export interface InitPlan {
  /** The source. */
  readonly source: ServerSummary;
  /** The target. */
  readonly target: ServerSummary;
  /** The databases. */
  readonly databases: readonly DatabasePlan[];
  /** How many tables are copied at the same time. */
  readonly jobs: number;
  /** How many indexes are built at the same time. */
  readonly indexJobs: number;
  /** The program that dumps schema and globals: `pg_dump 16.4`, `embedded pg_dump 18`. */
  readonly dumpTool: string;
  /** Bytes of all tables in scope, TOAST included, indexes not. */
  readonly bytes: number;
  /** With replication: what will apply the changes. */
  readonly applier?: {
    /** `subscription` of the target, or `client`: this tool, whose `sync` must keep running. */
    readonly kind: ApplierKind;
    /** Why it is not a subscription; empty if it is one, or was requested. */
    readonly reasons: readonly string[];
  };
  /** From a short measurement; undefined if there is too little data to measure. */
  readonly predictedMs?: number;
  /** The same for each step. */
  readonly predictedSteps?: readonly StepPrediction[];
  /** What was done differently or needs attention. */
  readonly warnings: readonly string[];
}

/** One database of the plan. */
export interface DatabasePlan {
  /** Its name on the source. */
  readonly source: string;
  /** Its name on the target. */
  readonly target: string;
  /** What happens to the target database. */
  readonly action: "create" | "fill-empty" | "drop-and-create" | "resume";
  /** What `--drop-existing` will destroy, in words. */
  readonly willBeLost?: string;
  /** Tables whose rows are copied. */
  readonly tables: readonly TablePlan[];
  /** The outcome for every table, and why. */
  readonly decisions: readonly TableDecision[];
  /** Other objects that are excluded or may stay incomplete: views, foreign keys. */
  readonly notes: readonly string[];
  /** How many large objects. */
  readonly largeObjects: number;
  /** Size in bytes. */
  readonly bytes: number;
}

/** One table of the plan. */
export interface TablePlan {
  /** Its schema. */
  readonly schema: string;
  /** Its name. */
  readonly name: string;
  /** Of a filtered table, the share that the planner expects to be copied. */
  readonly bytes: number;
  /** The share of `bytes` that is stored out of line (TOAST). */
  readonly toastBytes: number;
  /** The topmost partitioned table that it is a partition of. */
  readonly partitionOf?: TableName;
  /** The planner's estimate; undefined if there is none yet. */
  readonly rowEstimate?: number;
  /** Which rows are copied; undefined for all. */
  readonly predicate?: string;
  /** Ranges that are copied at the same time. */
  readonly parts: number;
  /** The format. */
  readonly format: "text" | "binary";
  /** Why it is copied as text: `column tags app.tag[]`. */
  readonly whyText?: string;
  /** Whether its rows are frozen when copied, so that VACUUM need not freeze them. */
  readonly freeze: boolean;
}

/** The outcome of `init`. */
export interface InitReport {
  /** The plan. */
  readonly plan: InitPlan;
  /** The databases. */
  readonly databases: readonly DatabaseReport[];
  /** Each step with its duration. */
  readonly steps: readonly StepReport[];
  /** What was done differently or needs attention. */
  readonly warnings: readonly Warning[];
  /** What each session did when. */
  readonly timeline: readonly TimelineEntry[];
  /** How the copy affected the source, and when it slowed down. */
  readonly governor: readonly ThrottleReport[];
  /** Transient failures that were retried. */
  readonly retries: readonly RetryReport[];
  /** Rows that were copied. */
  readonly rows: number;
  /** COPY bytes moved. */
  readonly bytes: number;
  /** Duration in milliseconds. */
  readonly ms: number;
  /**
   * Why the run ended before everything was copied; undefined if it is complete. An unfinished run
   * reports what is copied and kept.
   */
  readonly failure?: string;
}

/** How the copy affected the source, and when it slowed down. */
export interface ThrottleReport {
  /** The database. */
  readonly database: string;
  /** What it concerns. */
  readonly about: ThrottleSubject;
  /** `slowed to 40 MB/s: standby s1 is 310 MB behind` */
  readonly message: string;
  /**
   * The limit; undefined for full speed, and for subjects other than the speed.
   */
  readonly bytesPerSecond?: number;
  /** Whether the problem was over. */
  readonly over?: true;
  /** Since the start of the run. */
  readonly startMs: number;
}

/** A failure that was retried. */
export interface RetryReport {
  /** `copying the tables of shop (session 2)` */
  readonly what: string;
  /** The error of the server or the connection, without secrets. */
  readonly reason?: string;
  /** 1 for the first. */
  readonly attempt: number;
  /** The pause before it. */
  readonly delayMs: number;
  /** Since the start of the run. */
  readonly startMs: number;
}

/** One piece of work of one session. */
export interface TimelineEntry {
  /** The database. */
  readonly database: string;
  /** What kind of work. */
  readonly work: WorkKind;
  /** The number of the session among those that do this kind of work, from 1. */
  readonly lane: number;
  /** The table, or the index or key. */
  readonly label: string;
  /** Since the start of the run. */
  readonly startMs: number;
  /** Duration in milliseconds. */
  readonly ms: number;
  /** COPY bytes, for rows. */
  readonly bytes?: number;
}

/** Something that was done differently or omitted, and why. */
export interface Warning {
  /** What happened, in a sentence. */
  readonly message: string;
  /** The server that it concerns. */
  readonly side?: Side;
  /** The object that it concerns. */
  readonly object?: string;
  /** What to do about it. */
  readonly remedy?: string;
}

/** The objects that a run could not create, of all its databases. */
export function setAsideObjects(
  { databases }: Pick<InitReport, "databases">,
): readonly (SetAsideObject & { readonly database: string })[] {
  return databases.flatMap(({ target, setAside = [] }) =>
    setAside.filter(({ attribute }) => attribute === undefined)
      .map((object) => ({ ...object, database: target }))
  );
}

/** One database that was copied. */
export interface DatabaseReport {
  /** Its name on the source. */
  readonly source: string;
  /** Its name on the target. */
  readonly target: string;
  /** The tables. */
  readonly tables: readonly TableReport[];
  /**
   * Objects that the target refused to create or populate, even after all others; undefined if it
   * has everything. The same command creates them after their causes are removed. Comments and
   * privileges of another object of the list have `attribute`.
   */
  readonly setAside?: readonly SetAsideObject[];
  /** Whether the run ended before this database was complete. */
  readonly incomplete?: true;
  /** Duration in milliseconds. */
  readonly ms: number;
}

/** One table that was copied. */
export interface TableReport {
  /** Its schema. */
  readonly schema: string;
  /** Its name. */
  readonly name: string;
  /** Rows that were copied. */
  readonly rows: number;
  /** COPY bytes. */
  readonly bytes: number;
  /** Duration in milliseconds. */
  readonly ms: number;
  /** Whether an earlier attempt of the run copied it completely. */
  readonly earlier?: true;
  /**
   * Whether an earlier attempt committed rows and ended before it could count them: they are not
   * included in `rows` and `bytes`.
   */
  readonly uncounted?: true;
}

/** How long a step took. */
export interface StepReport {
  /** The step. */
  readonly step: string;
  /** The database. */
  readonly database?: string;
  /** Since the start of the run. */
  readonly startMs: number;
  /** Duration in milliseconds. */
  readonly ms: number;
  /** The predicted duration; undefined for steps without a prediction. */
  readonly predictedMs?: number;
  /** Whether it failed, and with it this attempt at the database. */
  readonly failed?: true;
  /** The outcome in a few words. */
  readonly summary?: string;
}

/** How long a step is expected to take. */
export interface StepPrediction {
  /** The step. */
  readonly step: StepName;
  /** The database. */
  readonly database?: string;
  /** Duration in milliseconds. */
  readonly ms: number;
}

/** The outcome of `verify`. */
export interface VerifyReport {
  /** The source. */
  readonly source: ServerSummary;
  /** The target. */
  readonly target: ServerSummary;
  /** The result of the comparison. */
  readonly verdict: Verdict;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  /** When it finished, ISO 8601. */
  readonly finishedAt: string;
  /** The databases. */
  readonly databases: readonly VerifiedDatabase[];
  /** Everything that was not compared, and why. */
  readonly notChecked: readonly NotChecked[];
  /** What was done differently or needs attention. */
  readonly warnings: readonly Warning[];
  /** Each step with its duration. */
  readonly steps: readonly StepReport[];
  /** Repairs, if requested. */
  readonly repair?: RepairReport;
  /** Rows compared, on the source. */
  readonly rows: number;
  /** Bytes of the source's tables that were compared. */
  readonly bytes: number;
  /** Duration in milliseconds. */
  readonly ms: number;
}

/** What `verify --repair` did, or with `--dry-run` would do. */
export interface RepairReport {
  /** Whether the target was changed. */
  readonly applied: boolean;
  /** Rows written or removed on the target. */
  readonly rows: number;
  /** For `--dry-run`: the statements, in order. */
  readonly statements: readonly string[];
}

/** What `sync` is about to copy. */
export interface SyncPlan {
  /** The databases. */
  readonly databases: readonly {
    readonly source: string;
    readonly target: string;
    readonly tables: readonly {
      readonly schema: string;
      readonly name: string;
      readonly bytes: number;
    }[];
  }[];
  /** Whether the tables are created on the target; otherwise they are emptied. */
  readonly areNew: boolean;
}

/** The outcome of `sync`: the target has caught up, and replication continues. */
export interface SyncReport {
  /** The databases. */
  readonly databases: readonly SyncDatabaseReport[];
  /** Each step with its duration. */
  readonly steps: readonly StepReport[];
  /** What was done differently or needs attention. */
  readonly warnings: readonly Warning[];
  /** Duration in milliseconds. */
  readonly ms: number;
}

/** One replicated database. */
export interface SyncDatabaseReport {
  /** Its name on the source. */
  readonly source: string;
  /** Its name on the target. */
  readonly target: string;
  /** One for each snapshot generation. */
  readonly streams: readonly SyncStreamReport[];
  /** What was done to start replication, in words; empty if it was running. */
  readonly done: readonly string[];
  /** Tables whose changes are not replicated. */
  readonly unfollowed: readonly string[];
}

/** A slot with the publication and the subscription of the same name. */
export interface SyncStreamReport {
  /** Its name. */
  readonly name: string;
  /** The snapshot generation: 1 for the first copy, higher for tables that were copied later. */
  readonly epoch: number;
  /** The tables. */
  readonly tables: number;
  /** What this process has applied; missing if another one, or a subscription, applies changes. */
  readonly applied?: {
    /** Transactions of the source. */
    readonly transactions: number;
    /** Changes of rows. */
    readonly changes: number;
  };
}
