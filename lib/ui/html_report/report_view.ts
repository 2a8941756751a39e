import type { Side, TableName, ThrottleSubject, WorkKind } from "../../core/internal.ts";

/**
 * What the page shows of the outcome of `init`; `InitReport` of the commands is one. Sizes are
 * bytes, durations milliseconds.
 */
export interface ReportView {
  readonly plan: PlanView;
  readonly databases: readonly DatabaseView[];
  readonly steps: readonly StepView[];
  readonly warnings: readonly WarningView[];
  readonly timeline: readonly WorkView[];
  /** How the source bore the copy, and what the copy did about it. */
  readonly governor: readonly ThrottleView[];
  /** What failed, passed by itself, and was tried again. */
  readonly retries: readonly RetryView[];
  readonly rows: number;
  /** COPY bytes. */
  readonly bytes: number;
  /** Checks and the question before the start included. */
  readonly ms: number;
  /** Why it ended before everything was copied; lines. */
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
  /** Sizes of all tables on the source's disk. */
  readonly bytes: number;
  readonly predictedMs?: number;
  readonly warnings: readonly string[];
}

/** A server. */
export interface ServerView {
  /** Without password. */
  readonly url: string;
  readonly version: string;
  readonly provider?: string;
  readonly encrypted: boolean;
}

/** A database of the plan. */
export interface DatabasePlanView {
  readonly source: string;
  readonly target: string;
  readonly action: "create" | "fill-empty" | "drop-and-create" | "resume";
  readonly willBeLost?: string;
  readonly tables: readonly TablePlanView[];
  readonly largeObjects: number;
  readonly bytes: number;
}

/** A table of the plan. */
export interface TablePlanView extends TableName {
  readonly bytes: number;
  readonly parts: number;
  readonly format: "text" | "binary";
  /** Why it is not binary. */
  readonly whyText?: string;
}

/** How the source bore the copy, and what the copy did about it. */
export interface ThrottleView {
  readonly database: string;
  readonly about: ThrottleSubject;
  readonly message: string;
  /** Since the run began. */
  readonly startMs: number;
}

/** Something that was tried again. */
export interface RetryView {
  readonly what: string;
  readonly reason?: string;
  /** 1 for the first. */
  readonly attempt: number;
  /** How long it paused. */
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
  /** What the target refused when all else was there. */
  readonly setAside?: readonly SetAsideView[];
}

/** An object that could not be created or filled. */
export interface SetAsideView {
  readonly object: string;
  readonly statement: string;
  readonly reason: string;
  readonly remedy: string;
  /** Of another object of the list, with which it comes: not listed. */
  readonly attribute?: true;
}

/** A table that was copied. */
export interface TableView extends TableName {
  readonly rows: number;
  readonly bytes: number;
  readonly ms: number;
  /** Whether an earlier attempt of the run has copied all of it. */
  readonly earlier?: true;
  /** Whether rows are there that nobody has counted. */
  readonly uncounted?: true;
}

/** How long a step took. */
export interface StepView {
  readonly step: string;
  readonly database?: string;
  /** Since the run began. */
  readonly startMs: number;
  readonly ms: number;
  /** What the plan expected. */
  readonly predictedMs?: number;
  readonly failed?: true;
  readonly summary?: string;
}

/** A thing that was done differently or left out. */
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
