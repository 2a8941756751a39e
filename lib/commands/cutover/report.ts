/**
 * What the cutover commands return.
 *
 * @module
 */
import type { StatisticsSummary } from "../../copy/internal.ts";
import type { ServerSummary } from "../shared/report.ts";
import type {
  CutoverPhase,
  FailedAttempt,
  PreflightFinding,
  SideStatements,
  SwitchedDatabase,
  SwitchStep,
  TripwireFinding,
  UnfinishedSwitch,
} from "../../cutover/internal.ts";

export type { ServerSummary } from "../shared/report.ts";
export type {
  CloseEvidence,
  CutoverHook,
  CutoverPhase,
  FailedAttempt,
  InterruptedSwitch,
  PreflightFinding,
  SideStatements,
  SwitchedDatabase,
  SwitchStep,
  TokenEvidence,
  TripwireFinding,
  UnfinishedSwitch,
} from "../../cutover/internal.ts";
export { cutoverHooks, cutoverPhases } from "../../cutover/internal.ts";

/** The state of one database. */
export interface CutoverDatabaseStatus {
  /** Its name on the source. */
  readonly source: string;
  /** Its name on the target. */
  readonly target: string;
  /** See {@linkcode CutoverPhase}. */
  readonly phase: CutoverPhase;
  /**
   * Whether a cutover is recorded, or a stream connects the database with the target; otherwise it
   * is not known which side is in use. Missing in reports of earlier versions.
   */
  readonly isKnown?: boolean;
  /**
   * A switch before its point of no return that has changed something: it is running, or was
   * interrupted, and the same command restores what it left. Null without one; missing in reports
   * of earlier versions.
   */
  readonly unfinished?: UnfinishedSwitch | null;
  /** ISO timestamp of the last change of phase; null in the phase `none`. */
  readonly since: string | null;
  /** Tables with a fence. */
  readonly tables: number;
  /** Whether the way back exists. */
  readonly wayBack: boolean;
  /** Changes on the closed side that replication did not bring. */
  readonly tripwire: readonly TripwireFinding[];
  /**
   * Writes that the fence of the closed side has refused since it was closed: on the target before
   * the switch, on the source after it. Null if no side is closed, or they were not counted.
   */
  readonly refusedWrites: number | null;
  /** What prevents the next step. */
  readonly findings: readonly PreflightFinding[];
}

/** What `cutover status` returns. */
export interface CutoverStatusReport {
  /** In the order of their names on the source. */
  readonly databases: readonly CutoverDatabaseStatus[];
  /**
   * The commands to run next, in their order: `cutover rehearse`, `cutover run`; after a switch
   * both `cutover rollback` and `cutover finish`, and then `cleanup`. Empty if neither a cutover
   * nor replication is known.
   */
  readonly next: readonly string[];
}

/** What `cutover prepare` will do. */
export interface CutoverPreparePlan {
  /** In the order of their names on the source. */
  readonly databases: readonly {
    readonly source: string;
    readonly target: string;
    /** Tables that get a fence on both sides. */
    readonly tables: number;
    readonly streams: readonly string[];
    readonly wayBack: boolean;
    /** Tables whose changes are not replicated, `schema.table`. */
    readonly notCarried: readonly string[];
    readonly statements: SideStatements;
  }[];
  /** What to know beforehand, or what went wrong without stopping it. */
  readonly warnings: readonly PreflightFinding[];
}

/** What `cutover prepare` returns. */
export interface CutoverPrepareReport {
  /** In the order of their names on the source. */
  readonly databases: readonly {
    readonly source: string;
    readonly target: string;
    readonly tables: number;
    readonly streams: readonly string[];
    /** The stream of the way back; null without one. */
    readonly wayBack: string | null;
    /** Planner statistics that the target was given; absent before version 18. */
    readonly statistics?: StatisticsSummary;
  }[];
  /** What to know beforehand, or what went wrong without stopping it. */
  readonly warnings: readonly PreflightFinding[];
  /** Duration in milliseconds. */
  readonly ms: number;
}

/** The switches, by the names of their commands. */
export const switchDirections = ["run", "rollback"] as const;

/** One of {@linkcode switchDirections}. */
export type SwitchDirection = typeof switchDirections[number];

/** What `cutover run` or `cutover rollback` will do. */
export interface CutoverSwitchPlan {
  /** `run`: from the source to the target; `rollback`: back. */
  readonly direction: SwitchDirection;
  /** In the order of their names on the source. */
  readonly databases: readonly {
    readonly source: string;
    readonly target: string;
    readonly phase: CutoverPhase;
    readonly tables: number;
    readonly wayBack: boolean;
    readonly statements: SideStatements;
  }[];
  /** How long writers may wait, in milliseconds. */
  readonly maxPauseMs: number;
  /** What to know beforehand, or what went wrong without stopping it. */
  readonly warnings: readonly PreflightFinding[];
  /** What the switch cannot stop or does not check. */
  readonly unchecked: readonly string[];
}

/** What one database went through, and what was compared. */
export interface CutoverSwitchedDatabase extends SwitchedDatabase {
  /** What the last check compared while writers waited; null if an earlier attempt did so. */
  readonly compared: FinalComparison | null;
}

/** What the last check of a switch compared. */
export interface FinalComparison {
  /** Tables whose columns were compared. */
  readonly tables: number;
  /** Rows that were counted on both sides; null without `--final-check counts`. */
  readonly rows: number | null;
}

/** What `cutover run` and `cutover rollback` return. */
export interface CutoverSwitchReport {
  /** `run`: from the source to the target; `rollback`: back. */
  readonly direction: SwitchDirection;
  /** The source. */
  readonly source: ServerSummary;
  /** The target. */
  readonly target: ServerSummary;
  /** ISO timestamp. */
  readonly startedAt: string;
  /** ISO timestamp. */
  readonly finishedAt: string;
  /**
   * From the barrier until the other side was open, in milliseconds. If an earlier attempt had
   * closed a database, since its barrier.
   */
  readonly pauseMs: number;
  /** How long writers may wait, in milliseconds. */
  readonly maxPauseMs: number;
  /** Failed attempts at the barrier. */
  readonly failedAttempts: number;
  /** How long writers waited in these attempts altogether, in milliseconds. */
  readonly failedAttemptsMs: number;
  /** These attempts, and what each waited for. */
  readonly attempts: readonly FailedAttempt[];
  /** In the order of their names on the source. */
  readonly databases: readonly CutoverSwitchedDatabase[];
  /** The timeline. */
  readonly steps: readonly SwitchStep[];
  /** What to know beforehand, or what went wrong without stopping it. */
  readonly warnings: readonly string[];
  /** What the switch cannot stop or did not check. */
  readonly unchecked: readonly string[];
  /** Duration in milliseconds. */
  readonly ms: number;
}

/** The evidence of a switch that was begun and failed. */
export interface CutoverUnfinishedReport {
  /** `run`: from the source to the target; `rollback`: back. */
  readonly direction: SwitchDirection;
  /**
   * `abandoned`: nothing was changed, and writers have continued on the side in use. `unfinished`:
   * the point of no return was passed, or that is not known; the same command continues.
   */
  readonly outcome: "abandoned" | "unfinished";
  /** Why, as the command prints it: the error, its details, and what to do. */
  readonly reason: readonly string[];
  /** The source. */
  readonly source: ServerSummary;
  /** The target. */
  readonly target: ServerSummary;
  /** ISO timestamp. */
  readonly startedAt: string;
  /** ISO timestamp. */
  readonly finishedAt: string;
  /** How long writers waited for the barrier that was granted, in ms; 0 if none was. */
  readonly pauseMs: number;
  /** How long writers may wait, in milliseconds. */
  readonly maxPauseMs: number;
  /** Failed attempts at the barrier. */
  readonly failedAttempts: number;
  /** How long writers waited in these attempts altogether, in milliseconds. */
  readonly failedAttemptsMs: number;
  /** These attempts, and what each waited for. */
  readonly attempts: readonly FailedAttempt[];
  /** In the order of their names on the source. */
  readonly databases: readonly Pick<SwitchedDatabase, "database" | "waiting">[];
  /** The timeline. */
  readonly steps: readonly SwitchStep[];
  /** What to know beforehand, and what could not be restored. */
  readonly warnings: readonly string[];
  /** Duration in milliseconds. */
  readonly ms: number;
}

/** What `cutover rehearse` returns. */
export interface CutoverRehearsal {
  /** The switch that was rehearsed: `run` of prepared databases, `rollback` of switched ones. */
  readonly direction: SwitchDirection;
  /** The source. */
  readonly source: ServerSummary;
  /** The target. */
  readonly target: ServerSummary;
  /** ISO timestamp. */
  readonly startedAt: string;
  /** ISO timestamp. */
  readonly finishedAt: string;
  /** In the order of their names on the source. */
  readonly databases: readonly {
    readonly source: string;
    /** Milliseconds that a token takes to arrive. */
    readonly drain: { readonly p50Ms: number; readonly p99Ms: number };
    /** Milliseconds to read and set the sequences. */
    readonly sequencesMs: number;
    /** Milliseconds that reversing replication takes. */
    readonly reverseMs: number;
    /**
     * Milliseconds that the barrier of `--brownout` lasted, from its request, by the server's
     * clock; null without it, or if it was not granted.
     */
    readonly brownoutMs: number | null;
    /** What held up the barrier of the brownout. */
    readonly blockers: readonly string[];
    readonly findings: readonly PreflightFinding[];
  }[];
  /** The expected pause, in milliseconds. */
  readonly predictedPauseMs: number;
  /** How long writers may wait, in milliseconds. */
  readonly maxPauseMs: number;
  /** Whether `cutover run` would be refused. */
  readonly isRefused: boolean;
}

/** What `cutover finish` will do. */
export interface CutoverFinishPlan {
  /** In the order of their names on the source. */
  readonly databases: readonly {
    readonly source: string;
    readonly target: string;
    readonly tables: number;
    readonly statements: SideStatements;
  }[];
  /** Whether the source will accept writes again. */
  readonly openOldSide: boolean;
}

/** What `cutover finish` returns. */
export interface CutoverFinishReport {
  /** In the order of their names on the source. */
  readonly databases: readonly {
    readonly source: string;
    readonly target: string;
    /** What was removed, in words. */
    readonly removed: readonly string[];
  }[];
}
