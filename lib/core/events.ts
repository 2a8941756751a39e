/**
 * What a running command tells its caller: one typed stream for the terminal, the log, a report or
 * a service.
 *
 * @module
 */
import { errorMessage, placedMessage, ReplicatorError, type Side } from "./errors.ts";
import { redact } from "./secret.ts";

/** The steps of a run, in their order. */
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
  | "compare-objects";

/** What a session does at a time. */
export type WorkKind = "copy" | "index" | "foreign-key" | "analyze";

/** How fast the copy may be; who waits for its locks; how old its snapshot is. */
export type ThrottleSubject = "speed" | "locks" | "snapshot";

/**
 * Something that happened, with what a renderer needs to show it. Times are milliseconds, sizes
 * bytes.
 */
export type RunEvent =
  | { readonly kind: "step-started"; readonly step: StepName; readonly database?: string }
  | {
    readonly kind: "step-finished";
    readonly step: StepName;
    readonly database?: string;
    readonly ms: number;
    /** What the plan expected; not there for steps that it does not know. */
    readonly predictedMs?: number;
    /** A few words about the outcome: `12 roles`. */
    readonly summary?: string;
  }
  | {
    readonly kind: "database-planned";
    readonly database: string;
    readonly tables: number;
    readonly bytes: number;
  }
  | {
    readonly kind: "table-started";
    readonly database: string;
    readonly table: string;
    readonly bytes: number;
  }
  | {
    readonly kind: "table-progress";
    readonly database: string;
    readonly table: string;
    /** COPY bytes relayed for this table so far. */
    readonly bytes: number;
  }
  | {
    readonly kind: "table-finished";
    readonly database: string;
    readonly table: string;
    readonly rows: number;
    readonly bytes: number;
    readonly ms: number;
  }
  | {
    /** Progress within a step that counts things: indexes, foreign keys, ANALYZE. */
    readonly kind: "step-progress";
    readonly step: StepName;
    readonly database?: string;
    readonly done: number;
    readonly total: number;
    readonly current?: string;
  }
  | {
    /** One piece of work of one session, when it is done: what a timeline is drawn from. */
    readonly kind: "work-finished";
    readonly database: string;
    readonly work: WorkKind;
    /** Which of the sessions that do this kind of work at once, from 1. */
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
    /** How the source bears the copy, and what the copy does about it. */
    readonly kind: "governor";
    readonly database: string;
    readonly about: ThrottleSubject;
    /** `slowed to 40 MB/s: standby s1 is 310 MB behind` */
    readonly message: string;
    /**
     * What the copy is held to; not there when it may go as fast as it can, and not for other
     * subjects than the speed.
     */
    readonly bytesPerSecond?: number;
    /** Whether it has passed: nothing of its subject is left to be shown. */
    readonly over?: true;
  }
  | {
    readonly kind: "warning";
    readonly message: string;
    readonly side?: Side;
    readonly object?: string;
    readonly remedy?: string;
  }
  | {
    /** Something failed in a way that passes, and is tried again after a pause. */
    readonly kind: "retry";
    /** `copying the tables of shop (session 2)` */
    readonly what: string;
    /** Why, without secrets: what the server or the connection said. */
    readonly reason?: string;
    /** 1 for the first. */
    readonly attempt: number;
    /** How long it pauses. */
    readonly delayMs: number;
  }
  | {
    /** How far a subscription is behind the position that is waited for. */
    readonly kind: "replication-lag";
    readonly database: string;
    readonly subscription: string;
    readonly bytes: number;
  }
  | { readonly kind: "info"; readonly message: string };

/** Receives events; must not throw and must return at once. */
export type EventSink = (event: RunEvent) => void;

/** The sink for callers who do not care. */
export const ignoreEvents: EventSink = () => {};

/** Tells that something is tried again, and why. */
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

/** `copying the tables of shop (session 2): Connection refused`: a retry's first half. */
export function describeRetry(
  { what, reason }: { readonly what: string; readonly reason?: string },
): string {
  return reason === undefined ? what : `${what}: ${reason}`;
}
