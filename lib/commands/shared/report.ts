/**
 * What the commands return: plain data for a terminal, a JSON document, an HTML page or a service.
 * Sizes are bytes, durations milliseconds.
 *
 * @module
 */
import type { Side, StepName, TableName, ThrottleSubject, WorkKind } from "../../core/internal.ts";
import type { SetAsideObject } from "../../schema/internal.ts";
import type { NotChecked, Verdict, VerifiedDatabase } from "../../verify/internal.ts";

/** How a check of `validate` ended. */
export type CheckStatus = "pass" | "warn" | "fail";

/** One thing that `validate` looked at. */
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
  /** What to do about it; there for every warning and failure. */
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
  /** What the rules make of each database. */
  readonly scopes: readonly DatabaseDecisions[];
  /** How many checks passed. */
  readonly passed: number;
  /** What was done differently or needs attention. */
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
  /** Of a filtered table: which rows are copied. */
  readonly predicate?: string;
}

/** What happens to the tables of a database. */
export interface DatabaseDecisions {
  /** Its name on the source. */
  readonly database: string;
  /** All tables, partitioned and foreign ones included. */
  readonly tables: readonly TableDecision[];
  /** What else is left out or may stay unfinished: views, foreign keys. */
  readonly notes: readonly string[];
}

/** A server in a few words. */
export interface ServerSummary {
  /** URL without password. */
  readonly url: string;
  /** `15.18` */
  readonly version: string;
  /** The provider, where it can be told: `Amazon RDS`, `Neon`, … */
  readonly provider?: string;
  /** Whether the connection uses TLS. */
  readonly encrypted: boolean;
}

/** What `init` is about to do; shown by `--dry-run` and before the question whether to go on. */
export interface InitPlan {
  /** The source. */
  readonly source: ServerSummary;
  /** The target. */
  readonly target: ServerSummary;
  /** The databases. */
  readonly databases: readonly DatabasePlan[];
  /** How many run at the same time. */
  readonly jobs: number;
  /** How many indexes are built at the same time. */
  readonly indexJobs: number;
  /** Which programs give schema and globals: `pg_dump 16.4`, `embedded pg_dump 18`. */
  readonly dumpTool: string;
  /** Bytes of all tables in scope, TOAST included, indexes not. */
  readonly bytes: number;
  /** From a short measured probe; undefined when there is too little data to measure. */
  readonly predictedMs?: number;
  /** The same step by step. */
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
  /** Tables of which rows are copied. */
  readonly tables: readonly TablePlan[];
  /** All tables, with what happens to each and why. */
  readonly decisions: readonly TableDecision[];
  /** What else is left out or may stay unfinished: views, foreign keys. */
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
  /** Of a filtered table the part that the planner expects to be copied. */
  readonly bytes: number;
  /** How much of `bytes` is values kept out of line (TOAST). */
  readonly toastBytes: number;
  /** The partitioned table at the top that it is a partition of. */
  readonly partitionOf?: TableName;
  /** The planner's estimate, undefined where there is none yet. */
  readonly rowEstimate?: number;
  /** Which rows are copied; all when it is not there. */
  readonly predicate?: string;
  /** Ranges that it is cut into, copied at once. */
  readonly parts: number;
  /** The format. */
  readonly format: "text" | "binary";
  /** Why it is not binary: `column tags app.tag[]`. */
  readonly whyText?: string;
  /** Whether its rows arrive frozen, so that VACUUM need not visit them. */
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
  /** How the source bore the copy, and what the copy did about it. */
  readonly governor: readonly ThrottleReport[];
  /** What failed, passed by itself, and was tried again. */
  readonly retries: readonly RetryReport[];
  /** Rows that were copied. */
  readonly rows: number;
  /** COPY bytes moved. */
  readonly bytes: number;
  /** Duration in milliseconds. */
  readonly ms: number;
  /**
   * Why it ended before everything was copied; not there when all is. What is told here of an
   * unfinished run is done and kept.
   */
  readonly failure?: string;
}

/** How the source bore the copy, and what the copy did about it. */
export interface ThrottleReport {
  /** The database. */
  readonly database: string;
  /** What it concerns. */
  readonly about: ThrottleSubject;
  /** `slowed to 40 MB/s: standby s1 is 310 MB behind` */
  readonly message: string;
  /**
   * What it was held to; not there when it could go as fast as it can, and not for other subjects
   * than the speed.
   */
  readonly bytesPerSecond?: number;
  /** Whether it had passed. */
  readonly over?: true;
  /** Since the run began. */
  readonly startMs: number;
}

/** Something that was tried again. */
export interface RetryReport {
  /** `copying the tables of shop (session 2)` */
  readonly what: string;
  /** What the server or the connection said, without secrets. */
  readonly reason?: string;
  /** 1 for the first. */
  readonly attempt: number;
  /** How long it paused. */
  readonly delayMs: number;
  /** Since the run began. */
  readonly startMs: number;
}

/** One piece of work of one session. */
export interface TimelineEntry {
  /** The database. */
  readonly database: string;
  /** What kind of work. */
  readonly work: WorkKind;
  /** Which of the sessions that do this kind of work at once, from 1. */
  readonly lane: number;
  /** The table, or the index or key. */
  readonly label: string;
  /** Since the run began. */
  readonly startMs: number;
  /** Duration in milliseconds. */
  readonly ms: number;
  /** COPY bytes, for rows. */
  readonly bytes?: number;
}

/** A thing that was done differently or left out, and why. */
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
   * Objects that the target refused to create or to fill when all else was there; not there when it
   * has everything. The same command creates them when their causes are gone. Comments and
   * privileges that come with another object of the list have `attribute`.
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
  /** Whether an earlier attempt of the run has copied all of it. */
  readonly earlier?: true;
  /**
   * Whether an earlier attempt committed rows and ended before it could note how many: they are
   * there, and not in `rows` and `bytes`.
   */
  readonly uncounted?: true;
}

/** How long a step took. */
export interface StepReport {
  /** The step. */
  readonly step: string;
  /** The database. */
  readonly database?: string;
  /** Since the run began. */
  readonly startMs: number;
  /** Duration in milliseconds. */
  readonly ms: number;
  /** What the plan expected; not there for steps that it does not know. */
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
  /** SQL that makes the target equal, when it was asked for. */
  readonly repair?: RepairReport;
  /** Rows compared, on the source. */
  readonly rows: number;
  /** Size in bytes. */
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
  /** For `--dry-run`: the statements, in their order. */
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
  /** Whether they are made on the target; else they are emptied there. */
  readonly areNew: boolean;
}

/** The outcome of `sync`: everything that the source had is on the target, and goes on coming. */
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

/** One database that follows. */
export interface SyncDatabaseReport {
  /** Its name on the source. */
  readonly source: string;
  /** Its name on the target. */
  readonly target: string;
  /** One for each snapshot generation. */
  readonly streams: readonly SyncStreamReport[];
  /** What was done to make it follow, in words; empty: it did already. */
  readonly done: readonly string[];
  /** Tables whose changes do not follow. */
  readonly unfollowed: readonly string[];
}

/** A slot with its publication and subscription, which are its namesakes. */
export interface SyncStreamReport {
  /** Its name. */
  readonly name: string;
  /** 1 for the first copy; tables that were copied later have a later one. */
  readonly epoch: number;
  /** The tables. */
  readonly tables: number;
}
