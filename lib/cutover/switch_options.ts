/**
 * What a switch takes and what it reports.
 *
 * @module
 */
import type { BlockerPolicy } from "../config/internal.ts";
import type { EventSink, StepName } from "../core/internal.ts";
import type { CloseEvidence } from "./model.ts";
import type { DatabaseRoute } from "./route.ts";

/** When a hook runs. */
export const cutoverHooks = ["before", "switch", "abort", "after"] as const;

/** One of {@linkcode cutoverHooks}. */
export type CutoverHook = typeof cutoverHooks[number];

/**
 * Runs a hook for the databases of a switch; the promise is rejected if it fails. Undefined if
 * the hook does not exist.
 */
export type HookRunner = (
  hook: CutoverHook,
  routes: readonly DatabaseRoute[],
) => Promise<void> | undefined;

/** How the switch is done. */
export interface SwitchSettings {
  /**
   * How long writers may be made to wait, in milliseconds. When it is exceeded before the point of
   * no return, everything is rolled back and writers continue.
   */
  readonly maxPauseMs: number;
  /** What happens to sessions that hold up the barrier. */
  readonly onBlocker: BlockerPolicy;
  /** How often the barrier is tried. */
  readonly barrierAttempts: number;
  /** Further values of each sequence that are skipped, see `planSequences`. */
  readonly sequenceMargin: number;
  /** Whether client sessions of the closed side are terminated. */
  readonly endSessions: boolean;
  /** How long creating the slot of the way back may take, in milliseconds. */
  readonly slotTimeoutMs: number;
  /** What is not checked, for the report. */
  readonly unchecked: readonly string[];
  /**
   * Repeats the checks of a database once its lock is held, and before anything has begun; throws
   * to refuse the switch.
   */
  readonly recheck: (route: DatabaseRoute) => Promise<void>;
  /**
   * The last check, while writers wait; throws to abandon the switch. Receives the databases by
   * their route.
   */
  readonly finalCheck: (route: DatabaseRoute, signal: AbortSignal) => Promise<void>;
  readonly hook: HookRunner;
  /** The clock, for the evidence. */
  readonly now: () => Date;
}

/** The caller's side of a switch. */
export interface SwitchContext {
  readonly events: EventSink;
  /** Abandons the switch; ignored once the point of no return has been passed. */
  readonly signal: AbortSignal;
}

/** One step, for the timeline. */
export interface SwitchStep {
  /** Which step. */
  readonly step: StepName;
  /** Since the start of the switch, in milliseconds. */
  readonly atMs: number;
  /** Duration in milliseconds. */
  readonly ms: number;
  /** Whether writers were waiting. */
  readonly isPause: boolean;
  /** Its outcome in a few words; empty if there is nothing to say. */
  readonly summary: string;
}

/** One failed attempt at the barrier: writers waited in the meantime. */
export interface FailedAttempt {
  /** Since the start of the switch, in milliseconds. */
  readonly atMs: number;
  /** Duration in milliseconds. */
  readonly ms: number;
  /**
   * What it waited for, with the name of the database; empty if that had gone by the time it was
   * looked up.
   */
  readonly blockers: readonly string[];
}

/** What one database went through. */
export interface SwitchedDatabase {
  /** Its name on the source. */
  readonly database: string;
  /** What closing proved; null if it is not known. */
  readonly evidence: CloseEvidence | null;
  /** Sessions that waited for the barrier at most, and the longest of their waits. */
  readonly waiting: { readonly sessions: number; readonly longestMs: number };
  /**
   * Writes that the fence of the closed side has refused until the report was written; null if they
   * were not counted.
   */
  readonly refusedWrites: number | null;
}

/** The outcome of a switch. */
export interface SwitchReport {
  /**
   * From the barrier that was granted until the other side was open, in ms. If an earlier attempt
   * had closed a database, since its barrier.
   */
  readonly pauseMs: number;
  /** Failed attempts at the barrier, each of which made writers wait for a moment. */
  readonly failedAttempts: number;
  /** How long writers waited in these attempts altogether, in ms. */
  readonly failedAttemptsMs: number;
  /** These attempts, in their order. */
  readonly attempts: readonly FailedAttempt[];
  readonly databases: readonly SwitchedDatabase[];
  readonly steps: readonly SwitchStep[];
  /** What went wrong after the other side was open, and what to do about it. */
  readonly warnings: readonly string[];
}

/** What a switch that failed had done, and how long writers waited for it. */
export interface SwitchFailure {
  readonly error: unknown;
  /**
   * Whether the point of no return was passed, or that is not known. Otherwise nothing was changed.
   */
  readonly isPastReturn: boolean;
  /**
   * Whether another command works on the databases, or has moved them, and this one had not closed
   * any: what is closed now belongs to that command.
   */
  readonly isTakenOver: boolean;
  /** How long writers waited for the barrier that was granted, in ms; 0 if none was. */
  readonly pauseMs: number;
  /** Failed attempts at the barrier. */
  readonly attempts: readonly FailedAttempt[];
  /** The databases whose side in use was to be closed. */
  readonly databases: readonly Pick<SwitchedDatabase, "database" | "waiting">[];
  readonly steps: readonly SwitchStep[];
  /** What could not be restored, and a hook that failed. */
  readonly warnings: readonly string[];
}

/** How a switch ended. */
export type SwitchOutcome =
  | { readonly kind: "switched"; readonly report: SwitchReport }
  | { readonly kind: "failed"; readonly failure: SwitchFailure };

/** Databases that were closed by an earlier attempt and must be opened together with the others. */
export interface SwitchInput {
  /** Databases whose side in use is still open. */
  readonly routes: readonly DatabaseRoute[];
  /** Databases that an earlier attempt has closed: only their other side is opened. */
  readonly closed: readonly DatabaseRoute[];
  /** Databases that it has opened: only what follows is done, such as hooks. */
  readonly opened: readonly DatabaseRoute[];
  /**
   * Databases that stay open, because an attempt in the other direction has closed only others: the
   * hooks that follow receive them too, as its hook `before` has.
   */
  readonly kept: readonly DatabaseRoute[];
}
