/**
 * Reports of statements that wait for a lock.
 *
 * @module
 */
import { formatDuration, type Side } from "../../core/internal.ts";

/** A session that holds a lock, or is ahead in the queue for it. */
export interface LockBlocker {
  /** Process ID of its backend; 0 for a prepared transaction. */
  readonly processId: number;
  /** Role name, unquoted; null where it is not visible. */
  readonly role: string | null;
  /** Its `application_name`; null where it is not visible. */
  readonly application: string | null;
  /** Address of its client; null for a local socket. */
  readonly client: string | null;
  /** `active`, `idle in transaction`, …; null where it is not visible. */
  readonly state: string | null;
  /** How long its transaction has been open. */
  readonly transactionMs: number | null;
}

/** A statement that waits for a lock. */
export interface LockWait {
  /** Always `waiting`: the wait has not ended. */
  readonly kind: "waiting";
  /** Server on which the statement waits. */
  readonly side: Side;
  /** Database of the waiting session, unquoted. */
  readonly database: string;
  /** Process ID of the waiting backend. */
  readonly processId: number;
  /** The locked object: `table public.orders`, `transaction 755`. */
  readonly object: string;
  /** Requested lock mode: `AccessShareLock`. */
  readonly mode: string;
  /** Time waited so far, in milliseconds. */
  readonly waitedMs: number;
  /** Sessions that hold the lock or are ahead in its queue. */
  readonly blockers: readonly LockBlocker[];
}

/** The end of a reported {@linkcode LockWait}. */
export interface LockWaitOver
  extends Pick<LockWait, "side" | "database" | "processId" | "object" | "waitedMs"> {
  /** Always `over`: the wait has ended. */
  readonly kind: "over";
}

/** Receives the start and end of waits; must not throw and must return at once. */
export type LockWaitSink = (wait: LockWait | LockWaitOver) => void;

/**
 * Describes a wait: `waiting for AccessShareLock on table public.t, held by pid 4711 (role app,
 * psql, 10.0.0.7), idle in transaction for 14.0 s`.
 */
export function describeLockWait({ object, mode, blockers }: LockWait): string {
  return `waiting for ${mode} on ${object}, held by ${
    blockers.map(describeLockBlocker).join("; ")
  }`;
}

function describeLockBlocker(
  { processId, role, application, client, state, transactionMs }: LockBlocker,
): string {
  if (processId === 0) return "a prepared transaction (see pg_prepared_xacts)";
  const who = [role === null ? "" : `role ${role}`, application, client].filter(Boolean);
  const since = transactionMs === null ? "" : ` for ${formatDuration(transactionMs)}`;
  return `pid ${processId}${who.length === 0 ? "" : ` (${who.join(", ")})`}` +
    (state === null ? "" : `, ${state}${since}`);
}
