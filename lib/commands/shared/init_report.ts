/**
 * What `init` returns.
 *
 * @module
 */
import type { ThrottleSubject, WorkKind } from "../../core/internal.ts";
import type { StatisticsSummary } from "../../copy/internal.ts";
import type { SetAsideObject } from "../../schema/internal.ts";
import type { InitPlan } from "./init_plan.ts";
import type { StepReport, Warning } from "./report.ts";

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
  /** Rows that are on the target: of this run, and of earlier ones that it has resumed. */
  readonly rows: number;
  /** COPY bytes of these rows. */
  readonly bytes: number;
  /** What of `rows` and `bytes` earlier runs have copied; undefined if this run copied all. */
  readonly before?: CopiedBefore;
  /** Duration of this run in milliseconds. */
  readonly ms: number;
  /**
   * Why the run ended before everything was copied; undefined if it is complete. An unfinished run
   * reports what is copied and kept.
   */
  readonly failure?: string;
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
  /** Where its planner statistics come from; undefined if an earlier run has completed it. */
  readonly statistics?: StatisticsSummary;
  /** Whether the run ended before this database was complete. */
  readonly incomplete?: true;
  /** Duration in milliseconds. */
  readonly ms: number;
}

/** What earlier runs have copied. */
export interface CopiedBefore {
  /** Rows. */
  readonly rows: number;
  /** COPY bytes. */
  readonly bytes: number;
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
  /** Whether an earlier run copied it completely. */
  readonly earlier?: true;
  /**
   * What of `rows` and `bytes` earlier runs have copied, if this run copied the rest in `ms`.
   */
  readonly before?: CopiedBefore;
  /**
   * Whether an earlier attempt committed rows and ended before it could count them: they are not
   * included in `rows` and `bytes`.
   */
  readonly uncounted?: true;
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

/** The objects that a run could not create, of all its databases. */
export function setAsideObjects(
  { databases }: Pick<InitReport, "databases">,
): readonly (SetAsideObject & { readonly database: string })[] {
  return databases.flatMap(({ target, setAside = [] }) =>
    setAside.filter(({ attribute }) => attribute === undefined)
      .map((object) => ({ ...object, database: target }))
  );
}
