/**
 * Events of a running command: one typed stream for the terminal, the log, a report or a service.
 *
 * @module
 */
import { errorMessage, placedMessage, ReplicatorError, type Side } from "./errors.ts";
import { redact } from "./secret.ts";

/** The steps of a run, in order. */
export type StepName =
  | "connect"
  | "validate"
  | "estimate"
  | "globals"
  | "publication"
  | "slot"
  | "dump"
  | "database"
  | "schema"
  | "data"
  | "large-objects"
  | "indexes"
  | "foreign-keys"
  | "finish-schema"
  | "sequences"
  | "analyze"
  | "subscription"
  | "catch-up"
  | "structure"
  | "compare-rows"
  | "compare-objects"
  | "prepare"
  | "rehearse"
  | "preflight"
  | "hook-before"
  | "barrier"
  | "drain"
  | "final-check"
  | "way-back"
  | "fence"
  | "open"
  | "hook-switch"
  | "tripwire"
  | "end-sessions"
  | "hook-after";

/** A kind of work that sessions do in parallel. */
export type WorkKind = "copy" | "index" | "foreign-key" | "analyze";

/** The rate of the copy; sessions waiting for its locks; the age of its snapshot. */
export type ThrottleSubject = "speed" | "locks" | "snapshot";

/**
 * Something that happened, with everything needed to show it. Times are in milliseconds, sizes in
 * bytes.
 */
export type RunEvent =
  | {
    /** A step begins. */
    readonly kind: "step-started";
    readonly step: StepName;
    /** Absent for steps that concern all databases. */
    readonly database?: string;
  }
  | {
    /** A step has ended. */
    readonly kind: "step-finished";
    readonly step: StepName;
    readonly database?: string;
    readonly ms: number;
    /** The plan's estimate; absent for steps that the plan does not cover. */
    readonly predictedMs?: number;
    /** The outcome in a few words: `12 roles`. */
    readonly summary?: string;
    /** Whether it ended with an error, which is reported separately. */
    readonly failed?: true;
  }
  | {
    /** The copy of a database begins. */
    readonly kind: "database-planned";
    readonly database: string;
    readonly tables: number;
    /** Size on disk of the tables. */
    readonly bytes: number;
  }
  | {
    /** What an earlier run has copied and this one does not copy again. */
    readonly kind: "already-copied";
    readonly database: string;
    /** Tables that are complete. */
    readonly tables: number;
    /** Planned size on disk of these tables, and of the copied parts of others. */
    readonly bytes: number;
  }
  | {
    /** The copy of a table's rows begins. */
    readonly kind: "table-started";
    readonly database: string;
    /** `schema.table` */
    readonly table: string;
    /** Size on disk. */
    readonly bytes: number;
  }
  | {
    /** How far the copy of a table's rows is. */
    readonly kind: "table-progress";
    readonly database: string;
    readonly table: string;
    /** COPY bytes relayed for this table so far. */
    readonly bytes: number;
  }
  | {
    /** A table's rows have been copied. */
    readonly kind: "table-finished";
    readonly database: string;
    readonly table: string;
    readonly rows: number;
    /** COPY bytes. */
    readonly bytes: number;
    readonly ms: number;
  }
  | {
    /** Progress within a step that counts items: indexes, foreign keys, ANALYZE. */
    readonly kind: "step-progress";
    readonly step: StepName;
    readonly database?: string;
    readonly done: number;
    readonly total: number;
    readonly current?: string;
    /** Size on disk of what is done in this run; only where items differ much in size. */
    readonly bytes?: number;
    /** The same of all that this run has to do. */
    readonly totalBytes?: number;
  }
  | {
    /** One piece of work of one session, when it is done; the timeline is drawn from these. */
    readonly kind: "work-finished";
    readonly database: string;
    readonly work: WorkKind;
    /** Number of the session among those that do this kind of work, from 1. */
    readonly lane: number;
    /** The table, or the index or key. */
    readonly label: string;
    /** When it began, on the clock of `performance.now()`. */
    readonly startedAtMs: number;
    readonly ms: number;
    /** COPY bytes, for rows. */
    readonly bytes?: number;
  }
  | {
    /** The copy's effect on the source, and how the copy reacts. */
    readonly kind: "governor";
    readonly database: string;
    readonly about: ThrottleSubject;
    /** `slowed to 40 MB/s: standby s1 is 310 MB behind` */
    readonly message: string;
    /**
     * The limit on the copy's rate; absent when there is none, and for subjects other than the
     * speed.
     */
    readonly bytesPerSecond?: number;
    /** Whether the condition is over, and nothing about its subject remains to be shown. */
    readonly over?: true;
  }
  | {
    /** Something was done differently than expected, or needs attention. */
    readonly kind: "warning";
    readonly message: string;
    readonly side?: Side;
    readonly object?: string;
    readonly remedy?: string;
  }
  | {
    /** A transient failure; the work is retried after a pause. */
    readonly kind: "retry";
    /** `copying the tables of shop (session 2)` */
    readonly what: string;
    /** The error message, without secrets. */
    readonly reason?: string;
    /** 1 for the first. */
    readonly attempt: number;
    /** Pause before the retry. */
    readonly delayMs: number;
  }
  | {
    /** How far a subscription is behind the awaited position. */
    readonly kind: "replication-lag";
    readonly database: string;
    readonly subscription: string;
    readonly bytes: number;
  }
  | {
    /** How far this process is in applying the changes of a stream; about once a second. */
    readonly kind: "apply-progress";
    readonly database: string;
    /** Its name. */
    readonly stream: string;
    /** Transactions of the source, since the process began. */
    readonly transactions: number;
    readonly changes: number;
    /** WAL that is not applied yet; absent while the source is unreachable. */
    readonly lagBytes?: number;
    /** Since the last transaction; absent before the first. */
    readonly idleMs?: number;
    /** Whether another command has stopped the stream; it is resumed when a command starts it. */
    readonly isStopped: boolean;
  }
  | {
    /** What users of the database experience while a cutover makes writers wait. */
    readonly kind: "cutover-pause";
    /** Since the barrier was granted, or the hook `before` had run. */
    readonly pauseMs: number;
    /** The limit; exceeding it rolls back. */
    readonly maxPauseMs: number;
    /** Sessions that wait at the moment. */
    readonly waiting: number;
    /** The longest of their waits. */
    readonly longestWaitMs: number;
    /** WAL that the side to be opened has not confirmed, in bytes. */
    readonly lagBytes: number;
    /** Whether it has ended: the other side is open, or writers continue on their own. */
    readonly isOver: boolean;
  }
  | {
    /** Something to know. */
    readonly kind: "info";
    readonly message: string;
    /** What can be done about it. */
    readonly remedy?: string;
  };

/** Something that was done differently or needs attention. */
export type WarningEvent = Extract<RunEvent, { readonly kind: "warning" }>;

/** Receives events; must not throw and must return at once. */
export type EventSink = (event: RunEvent) => void;

/** Discards all events. */
export const ignoreEvents: EventSink = () => {};

/** The event of a retry and its reason. */
export function retryEvent(
  { what, error, attempt, delayMs }: {
    readonly what: string;
    readonly error: unknown;
    readonly attempt: number;
    readonly delayMs: number;
  },
): RunEvent {
  const reason = error instanceof ReplicatorError ? placedMessage(error) : errorMessage(error);
  return { kind: "retry", what, reason: redact(reason), attempt, delayMs };
}

/** What is retried and why: `copying the tables of shop (session 2): Connection refused`. */
export function describeRetry(
  { what, reason }: { readonly what: string; readonly reason?: string },
): string {
  return reason === undefined ? what : `${what}: ${reason}`;
}
