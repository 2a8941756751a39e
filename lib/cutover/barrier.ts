/**
 * The barrier: one transaction that holds SHARE ROW EXCLUSIVE on every table in scope. Writers
 * wait without errors, readers continue, and when the transaction or its session ends, writers
 * resume as if nothing had happened.
 *
 * Source: PostgreSQL documentation, "13.3.1. Table-Level Locks", "LOCK".
 *
 * @module
 */
import { pause, quoteQualified, type TableName } from "../core/internal.ts";
import { ServerError, type Session, SqlState } from "../postgres/internal.ts";
import { type Blocker, readBarrierBlockers } from "./blockers.ts";

/** How long an attempt may wait for its locks, as a share of the server's `deadlock_timeout`. */
const deadlockShare = 0.4;

/** However long `deadlock_timeout` is: an attempt makes writers wait too. */
const maxAttemptMs = 1_000;

/**
 * How long an attempt may wait for its locks. It must give way before `deadlock_timeout`: until
 * then no autovacuum is canceled, and no session that began to wait after it checks for a deadlock.
 * Sessions that began earlier may: see `lookForBlockers`.
 *
 * Source: PostgreSQL documentation, "19.12. Lock Management" (deadlock_timeout).
 */
export async function barrierTimeoutMs(session: Session): Promise<number> {
  const { ms } = await session.queryOne<{ readonly ms: number }>(
    "SELECT setting::pg_catalog.int4 AS ms FROM pg_catalog.pg_settings WHERE name = 'deadlock_timeout'",
  );
  return Math.max(1, Math.min(maxAttemptMs, Math.floor(ms * deadlockShare)));
}

/** One attempt: granted, or what it waited for. */
export type BarrierAttempt =
  | {
    readonly isHeld: true;
    readonly ms: number;
    /** When it was begun: an ISO timestamp of the server. */
    readonly since: string;
  }
  | { readonly isHeld: false; readonly ms: number; readonly blockers: readonly Blocker[] };

/** What an attempt takes. */
export interface BarrierOptions {
  /** The session that will hold the barrier, outside a transaction. */
  readonly session: Session;
  /** Another session on the same database, to see what the barrier waits for. */
  readonly observer: Session;
  readonly tables: readonly TableName[];
  /** See {@linkcode barrierTimeoutMs}. */
  readonly timeoutMs: number;
  /**
   * Until when the barrier may be held, on the clock of `performance.now()`: the server then ends
   * the session, and writers continue, even if the network has failed.
   */
  readonly untilMs: number;
  readonly signal: AbortSignal;
}

/** The client itself gives up first, and a COMMIT may have been sent at the last moment. */
const serverGraceMs = 1_000;

function remainingMs(untilMs: number): number {
  return Math.max(1, Math.ceil(untilMs - performance.now()) + serverGraceMs);
}

/**
 * Has the server end the session if the client is silent until then. It counts from the last
 * statement, so every statement while the barrier is held has to begin with this one.
 *
 * @param untilMs on the clock of `performance.now()`
 */
export function limitSilence(untilMs: number): string {
  return `SET LOCAL idle_in_transaction_session_timeout = ${remainingMs(untilMs)}`;
}

/** The statement that takes all locks. ONLY, because every partition is listed itself. */
export function barrierStatement(tables: readonly TableName[]): string {
  return `LOCK TABLE ${
    tables.map(({ schema, name }) => `ONLY ${quoteQualified(schema, name)}`).join(", ")
  } IN SHARE ROW EXCLUSIVE MODE`;
}

/**
 * Begins the transaction and takes all locks, or rolls back.
 *
 * @throws ServerError for reasons other than locks, such as a table that was dropped
 */
export async function attemptBarrier(options: BarrierOptions): Promise<BarrierAttempt> {
  const { session, observer, tables, timeoutMs, untilMs, signal } = options;
  const begun = await session.queryAll(
    `BEGIN; SET LOCAL statement_timeout = ${timeoutMs}; SET LOCAL synchronous_commit = on;
     ${limitSilence(untilMs)};${
      session.majorVersion >= 17 ? ` SET LOCAL transaction_timeout = ${remainingMs(untilMs)};` : ""
    }
     SELECT pg_catalog.to_char(pg_catalog.now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS since`,
  );
  const since = String(begun.flat().find((row) => "since" in row)?.["since"]);
  const start = performance.now();
  const granted = new AbortController();
  // looked up while it waits: afterwards nothing shows what it waited for
  const looking = lookForBlockers(observer, {
    pid: session.processId,
    afterMs: timeoutMs / 2,
    signal: AbortSignal.any([signal, granted.signal]),
  });
  try {
    await session.execute(barrierStatement(tables));
    const ms = performance.now() - start;
    granted.abort();
    await session.execute(`${limitSilence(untilMs)}; SET LOCAL statement_timeout = 0`);
    return { isHeld: true, ms, since };
  } catch (error) {
    granted.abort();
    await session.execute("ROLLBACK").catch(() => {}); // the connection may be gone
    const isLockConflict = error instanceof ServerError &&
      (error.sqlState === SqlState.queryCanceled || error.sqlState === SqlState.lockNotAvailable ||
        error.sqlState === SqlState.deadlockDetected);
    if (!isLockConflict || signal.aborted) throw error;
    return { isHeld: false, ms: performance.now() - start, blockers: await looking };
  } finally {
    granted.abort();
    await looking;
  }
}

/** How long before its time a brownout ends: a busy server wakes up late. */
const earlyMs = 10;

/**
 * Holds a barrier that was granted until `maxMs` after its transaction began, and rolls it back.
 * The server does both by itself: a client that is busy, or far away, holds up no writer.
 *
 * @param observer another session on the same database, which ends it at once if `signal` is
 * aborted
 * @returns how long the transaction lasted, in milliseconds, by the server's clock
 */
export async function holdBarrier(
  session: Session,
  { observer, maxMs, signal }: {
    readonly observer: Session;
    readonly maxMs: number;
    readonly signal: AbortSignal;
  },
): Promise<number> {
  const stop = () => {
    observer.query("SELECT pg_catalog.pg_cancel_backend($1)", [session.processId])
      .catch(() => session.close());
  };
  signal.addEventListener("abort", stop, { once: true });
  try {
    const untilMs = maxMs - Math.min(earlyMs, maxMs / 10);
    const results = await session.queryAll(
      `SELECT pg_catalog.pg_sleep_until(pg_catalog.now() + pg_catalog.make_interval(secs => ${
        untilMs / 1_000
      }));
       SELECT (extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.now()) * 1000)::pg_catalog.float8 AS ms;
       ROLLBACK`,
    );
    signal.throwIfAborted();
    return Number(results.flat().find((row) => "ms" in row)?.["ms"]);
  } catch (error) {
    await session.execute("ROLLBACK").catch(() => session.close());
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

const cyclePollMs = 20;

// pg_locks, unlike the wait events of other roles, is visible to every role
const cycleStatement = `
  WITH RECURSIVE ahead (pid) AS (
    SELECT b.pid FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids($1)) AS b (pid)
     UNION
    SELECT b.pid FROM ahead CROSS JOIN LATERAL pg_catalog.unnest(pg_catalog.pg_blocking_pids(ahead.pid)) AS b (pid)
     WHERE ahead.pid NOT IN (0, $1)
  )
  SELECT EXISTS (SELECT FROM ahead WHERE pid = $1) AS found`;

/**
 * Gives way at once if a transaction that the attempt waits for waits, in turn, for the attempt:
 * the other session may have waited long enough to check for a deadlock in a moment, and would be
 * the one to be ended. Otherwise notes, halfway, what the attempt waits for.
 */
export async function lookForBlockers(
  observer: Session,
  { pid, afterMs, signal }: {
    readonly pid: number;
    readonly afterMs: number;
    readonly signal: AbortSignal;
  },
): Promise<readonly Blocker[]> {
  const start = performance.now();
  let blockers: readonly Blocker[] = [];
  try {
    for (let isNoted = false;;) {
      await pause(cyclePollMs, signal);
      const { found } = await observer.queryOne<{ readonly found: boolean }>(cycleStatement, [pid]);
      if (!isNoted && (found || performance.now() - start > afterMs)) {
        isNoted = true;
        blockers = await readBarrierBlockers(observer, pid);
      }
      if (found) {
        await observer.query("SELECT pg_catalog.pg_cancel_backend($1)", [pid]);
        return blockers;
      }
    }
  } catch {
    return blockers; // the locks were granted, or the attempt has failed with an error of its own
  }
}

/** The sessions that wait for the barrier at the moment. */
export interface BarrierWaiters {
  /** Sessions that wait for it. */
  readonly sessions: number;
  /** The longest of their waits. */
  readonly longestMs: number;
}

// the barrier is behind each of them, directly or in the queue of a lock
const waitersStatement = `
  SELECT pg_catalog.count(*)::pg_catalog.int4 AS sessions,
         coalesce(pg_catalog.max(extract(epoch FROM pg_catalog.clock_timestamp() - a.query_start) * 1000), 0)::pg_catalog.float8 AS longest
    FROM pg_catalog.pg_stat_activity AS a
   WHERE a.datname = pg_catalog.current_database() AND a.wait_event_type = 'Lock'
     AND a.pid <> $1 AND $1 = ANY (pg_catalog.pg_blocking_pids(a.pid))`;

/** Reads how many sessions wait for the barrier of a backend, and for how long. */
export async function readBarrierWaiters(
  observer: Session,
  barrierPid: number,
): Promise<BarrierWaiters> {
  const { sessions, longest } = await observer.queryOne<
    { readonly sessions: number; readonly longest: number }
  >(waitersStatement, [barrierPid]);
  return { sessions, longestMs: longest };
}
