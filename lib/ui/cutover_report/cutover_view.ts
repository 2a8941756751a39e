import type { ServerView } from "../html_report/report_view.ts";

/** What the reports of a switch and of a rehearsal have in common. */
export interface CutoverView {
  readonly source: ServerView;
  readonly target: ServerView;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly maxPauseMs: number;
}

/** The part of `CutoverSwitchReport` that the page shows. Durations are in milliseconds. */
export interface SwitchView extends CutoverView {
  readonly direction: "run" | "rollback";
  readonly pauseMs: number;
  readonly failedAttempts: number;
  readonly failedAttemptsMs: number;
  readonly attempts: readonly FailedAttemptView[];
  readonly databases: readonly SwitchedDatabaseView[];
  readonly steps: readonly SwitchStepView[];
  readonly warnings: readonly string[];
  readonly unchecked: readonly string[];
}

/** What one database went through. */
export interface SwitchedDatabaseView {
  readonly database: string;
  /** Null if it is not known. */
  readonly evidence: {
    readonly closedAt: string;
    readonly heldSince: string | null;
    readonly tokens: readonly TokenView[];
    readonly sequences: number;
    readonly unchecked: readonly string[];
  } | null;
  /** What the last check compared; null if an earlier attempt did it. */
  readonly compared: { readonly tables: number; readonly rows: number | null } | null;
  readonly waiting: { readonly sessions: number; readonly longestMs: number };
  /** Writes that the closed side has refused since; null if they were not counted. */
  readonly refusedWrites: number | null;
}

/** The part of `CutoverUnfinishedReport` that the page shows. Durations are in milliseconds. */
export interface UnfinishedSwitchView extends CutoverView {
  readonly direction: "run" | "rollback";
  readonly outcome: "abandoned" | "unfinished";
  readonly reason: readonly string[];
  readonly pauseMs: number;
  readonly failedAttempts: number;
  readonly failedAttemptsMs: number;
  readonly attempts: readonly FailedAttemptView[];
  readonly databases: readonly Pick<SwitchedDatabaseView, "database" | "waiting">[];
  readonly steps: readonly SwitchStepView[];
  readonly warnings: readonly string[];
}

/** One failed attempt at the barrier. */
export interface FailedAttemptView {
  readonly atMs: number;
  readonly ms: number;
  readonly blockers: readonly string[];
}

/** The journey of one token. */
export interface TokenView {
  readonly stream: string;
  readonly id: string;
  /** `16/B374D848` */
  readonly lsn: string;
  readonly ms: number;
}

/** One step of a switch. */
export interface SwitchStepView {
  readonly step: string;
  readonly atMs: number;
  readonly ms: number;
  /** Whether writers were waiting. */
  readonly isPause: boolean;
  readonly summary: string;
}

/** The part of `CutoverRehearsal` that the page shows. Durations are in milliseconds. */
export interface RehearsalView extends CutoverView {
  readonly predictedPauseMs: number;
  readonly isRefused: boolean;
  readonly databases: readonly {
    readonly source: string;
    readonly drain: { readonly p50Ms: number; readonly p99Ms: number };
    readonly sequencesMs: number;
    readonly reverseMs: number;
    readonly brownoutMs: number | null;
    readonly blockers: readonly string[];
    readonly findings: readonly {
      readonly side?: string | undefined;
      readonly message: string;
      readonly remedy?: string | undefined;
    }[];
  }[];
}
