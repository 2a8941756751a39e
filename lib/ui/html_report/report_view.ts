import type { Side, TableName, ThrottleSubject, WorkKind } from "../../core/internal.ts";

/**
 * The part of `InitReport` that the page shows. Sizes are in bytes, durations in milliseconds.
 */
export interface ReportView {
  readonly plan: PlanView;
  readonly databases: readonly DatabaseView[];
  readonly steps: readonly StepView[];
  readonly warnings: readonly WarningView[];
  readonly timeline: readonly WorkView[];
  /** The load on the source and how it was limited. */
  readonly governor: readonly ThrottleView[];
  /** Transient failures that were retried. */
  readonly retries: readonly RetryView[];
  readonly rows: number;
  /** COPY bytes. */
  readonly bytes: number;
  /** What of `rows` and `bytes` earlier runs have copied. */
  readonly before?: { readonly rows: number; readonly bytes: number };
  /** Including validation and waiting for confirmation. */
  readonly ms: number;
  /** Why the run ended early; may have several lines. */
  readonly failure?: string;
}

/** What was planned. */
export interface PlanView {
  readonly source: ServerView;
  readonly target: ServerView;
  readonly databases: readonly DatabasePlanView[];
  readonly jobs: number;
  readonly indexJobs: number;
  readonly dumpTool: string;
  /** Size of all tables on the source's disk. */
  readonly bytes: number;
  readonly predictedMs?: number;
  readonly warnings: readonly string[];
}

/** One of the two servers. */
export interface ServerView {
  /** Without password. */
  readonly url: string;
  readonly version: string;
  readonly provider?: string;
  readonly encrypted: boolean;
}

/** A database in the plan. */
export interface DatabasePlanView {
  readonly source: string;
  readonly target: string;
  readonly action: "create" | "fill-empty" | "drop-and-create" | "resume";
  readonly willBeLost?: string;
  readonly tables: readonly TablePlanView[];
  readonly largeObjects: number;
  readonly bytes: number;
}

/** A table in the plan. */
export interface TablePlanView extends TableName {
  readonly bytes: number;
  readonly parts: number;
  readonly format: "text" | "binary";
  /** Why it is not binary. */
  readonly whyText?: string;
}

/** A change in the load on the source, or in how it is limited. */
export interface ThrottleView {
  readonly database: string;
  readonly about: ThrottleSubject;
  readonly message: string;
  /** Since the run began. */
  readonly startMs: number;
}

/** A retry after a transient failure. */
export interface RetryView {
  readonly what: string;
  readonly reason?: string;
  /** 1 for the first. */
  readonly attempt: number;
  /** The pause before the attempt. */
  readonly delayMs: number;
  /** Since the run began. */
  readonly startMs: number;
}

/** A database that was copied. */
export interface DatabaseView {
  readonly source: string;
  readonly target: string;
  readonly tables: readonly TableView[];
  readonly ms: number;
  /** Objects that could not be created after everything else was. */
  readonly setAside?: readonly SetAsideView[];
}

/** An object that could not be created or filled. */
export interface SetAsideView {
  readonly object: string;
  readonly statement: string;
  readonly reason: string;
  readonly remedy: string;
  /** Belongs to another object of this list; not shown separately. */
  readonly attribute?: true;
}

/** A table that was copied. */
export interface TableView extends TableName {
  readonly rows: number;
  readonly bytes: number;
  readonly ms: number;
  /** Copied entirely by an earlier attempt. */
  readonly earlier?: true;
  /** What of it earlier runs have copied. */
  readonly before?: { readonly rows: number; readonly bytes: number };
  /** Contains rows that were not counted. */
  readonly uncounted?: true;
}

/** How long a step took. */
export interface StepView {
  readonly step: string;
  readonly database?: string;
  /** Since the run began. */
  readonly startMs: number;
  readonly ms: number;
  /** The predicted duration. */
  readonly predictedMs?: number;
  readonly failed?: true;
  readonly interrupted?: true;
  readonly summary?: string;
}

/** Something that was done differently or skipped. */
export interface WarningView {
  readonly message: string;
  readonly side?: Side;
  readonly object?: string;
  readonly remedy?: string;
}

/** One piece of work of one session. */
export interface WorkView {
  readonly database: string;
  readonly work: WorkKind;
  readonly lane: number;
  readonly label: string;
  readonly startMs: number;
  readonly ms: number;
  readonly bytes?: number;
}
