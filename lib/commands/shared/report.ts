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
  readonly status: CheckStatus;
  readonly side: Side | "both";
  readonly database?: string;
  /** What was found, in a sentence. */
  readonly finding: string;
  /** What to do about it; there for every warning and failure. */
  readonly fix?: string;
}

/** The outcome of `validate`. */
export interface ValidationReport {
  readonly source: ServerSummary;
  readonly target: ServerSummary;
  readonly checks: readonly Check[];
  /** What the rules make of each database. */
  readonly scopes: readonly DatabaseDecisions[];
  readonly passed: number;
  readonly warnings: number;
  readonly failures: number;
}

/** What happens to a table, and why. */
export interface TableDecision {
  readonly schema: string;
  readonly name: string;
  readonly outcome: "copied" | "filtered" | "structure-only" | "left-out";
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
  readonly encrypted: boolean;
}

/** What `init` is about to do; shown by `--dry-run` and before the question whether to go on. */
export interface InitPlan {
  readonly source: ServerSummary;
  readonly target: ServerSummary;
  readonly databases: readonly DatabasePlan[];
  readonly jobs: number;
  readonly indexJobs: number;
  /** Which programs give schema and globals: `pg_dump 16.4`, `embedded pg_dump 18`. */
  readonly dumpTool: string;
  /** Bytes of all tables in scope, TOAST included, indexes not. */
  readonly bytes: number;
  /** From a short measured probe; undefined when there is too little data to measure. */
  readonly predictedMs?: number;
  /** The same step by step. */
  readonly predictedSteps?: readonly StepPrediction[];
  readonly warnings: readonly string[];
}

/** One database of the plan. */
export interface DatabasePlan {
  readonly source: string;
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
  readonly largeObjects: number;
  readonly bytes: number;
}

/** One table of the plan. */
export interface TablePlan {
  readonly schema: string;
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
  readonly format: "text" | "binary";
  /** Why it is not binary: `column tags app.tag[]`. */
  readonly whyText?: string;
  /** Whether its rows arrive frozen, so that VACUUM need not visit them. */
  readonly freeze: boolean;
}

/** The outcome of `init`. */
export interface InitReport {
  readonly plan: InitPlan;
  readonly databases: readonly DatabaseReport[];
  readonly steps: readonly StepReport[];
  readonly warnings: readonly Warning[];
  /** What each session did when. */
  readonly timeline: readonly TimelineEntry[];
  /** How the source bore the copy, and what the copy did about it. */
  readonly governor: readonly ThrottleReport[];
  /** What failed, passed by itself, and was tried again. */
  readonly retries: readonly RetryReport[];
  readonly rows: number;
  /** COPY bytes moved. */
  readonly bytes: number;
  readonly ms: number;
  /**
   * Why it ended before everything was copied; not there when all is. What is told here of an
   * unfinished run is done and kept.
   */
  readonly failure?: string;
}

/** How the source bore the copy, and what the copy did about it. */
export interface ThrottleReport {
  readonly database: string;
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
  readonly database: string;
  readonly work: WorkKind;
  /** Which of the sessions that do this kind of work at once, from 1. */
  readonly lane: number;
  /** The table, or the index or key. */
  readonly label: string;
  /** Since the run began. */
  readonly startMs: number;
  readonly ms: number;
  /** COPY bytes, for rows. */
  readonly bytes?: number;
}

/** A thing that was done differently or left out, and why. */
export interface Warning {
  readonly message: string;
  readonly side?: Side;
  readonly object?: string;
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
  readonly source: string;
  readonly target: string;
  readonly tables: readonly TableReport[];
  /**
   * Objects that the target refused to create or to fill when all else was there; not there when it
   * has everything. The same command creates them when their causes are gone. Comments and
   * privileges that come with another object of the list have `attribute`.
   */
  readonly setAside?: readonly SetAsideObject[];
  /** Whether the run ended before this database was complete. */
  readonly incomplete?: true;
  readonly ms: number;
}

/** One table that was copied. */
export interface TableReport {
  readonly schema: string;
  readonly name: string;
  readonly rows: number;
  readonly bytes: number;
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
  readonly step: string;
  readonly database?: string;
  /** Since the run began. */
  readonly startMs: number;
  readonly ms: number;
  /** What the plan expected; not there for steps that it does not know. */
  readonly predictedMs?: number;
  /** Whether it failed, and with it this attempt at the database. */
  readonly failed?: true;
  readonly summary?: string;
}

/** How long a step is expected to take. */
export interface StepPrediction {
  readonly step: StepName;
  readonly database?: string;
  readonly ms: number;
}

/** The outcome of `verify`. */
export interface VerifyReport {
  readonly source: ServerSummary;
  readonly target: ServerSummary;
  readonly verdict: Verdict;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly databases: readonly VerifiedDatabase[];
  /** Everything that was not compared, and why. */
  readonly notChecked: readonly NotChecked[];
  readonly warnings: readonly Warning[];
  readonly steps: readonly StepReport[];
  /** SQL that makes the target equal, when it was asked for. */
  readonly repair?: RepairReport;
  /** Rows compared, on the source. */
  readonly rows: number;
  readonly bytes: number;
  readonly ms: number;
}

/** What `verify --repair` did, or with `--dry-run` would do. */
export interface RepairReport {
  readonly applied: boolean;
  /** Rows written or removed on the target. */
  readonly rows: number;
  /** For `--dry-run`: the statements, in their order. */
  readonly statements: readonly string[];
}

/** What `sync` is about to copy. */
export interface SyncPlan {
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
  readonly databases: readonly SyncDatabaseReport[];
  readonly steps: readonly StepReport[];
  readonly warnings: readonly Warning[];
  readonly ms: number;
}

/** One database that follows. */
export interface SyncDatabaseReport {
  readonly source: string;
  readonly target: string;
  readonly streams: readonly SyncStreamReport[];
  /** What was done to make it follow, in words; empty: it did already. */
  readonly done: readonly string[];
  /** Tables whose changes do not follow. */
  readonly unfollowed: readonly string[];
}

/** A slot with its publication and subscription, which are its namesakes. */
export interface SyncStreamReport {
  readonly name: string;
  /** 1 for the first copy; tables that were copied later have a later one. */
  readonly epoch: number;
  readonly tables: number;
}
