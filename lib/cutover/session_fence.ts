/**
 * The weaker fence, for a database whose tables the role does not own: no triggers and no locks on
 * the tables. New sessions are read-only by default, and all others are terminated, again and again
 * while the side is being closed.
 *
 * It does not refuse the writes of a session that turns read-only mode off: such a session lives
 * for one interval while a switch runs, and without a limit afterwards. What it has written is
 * found in the changes that follow the token.
 *
 * @module
 */
import { pause, quoteIdentifier, ReplicatorError, retry } from "../core/internal.ts";
import { type Endpoint, openSession, ServerError, type Session } from "../postgres/internal.ts";
import type { BarrierAttempt } from "./barrier.ts";
import type { Blocker } from "./blockers.ts";
import type { SideRecord } from "./model.ts";
import { staysReadOnly } from "./open_side.ts";
import { replaceSide } from "./own_schema.ts";
import { tryResetReadOnly } from "./read_only_default.ts";

/** What the weaker fence does not stop, for plans and reports. */
export const sessionFenceLimits =
  "closed by ending sessions (--fence sessions), which is weaker: a session that turns read-only mode off can write until it is terminated, and after the switch without a limit";

/** How often sessions are terminated. */
const intervalMs = 50;

/** How long the sessions that existed may take to end. */
const maxAttemptMs = 5_000;

/** How long a session that bears the name of a stream may take to be known as its walsender. */
const startingWalsenderMs = 1_000;

/**
 * Sessions that may write. Apply workers and walsenders are not sessions of clients; of other
 * roles' sessions, a role without pg_read_all_stats sees neither type nor state.
 */
export const fencedSessions = `
  SELECT a.pid, a.usename::pg_catalog.text AS username, a.application_name AS application, a.state,
         r.rolsuper AND NOT me.rolsuper AS is_protected,
         a.usesysid = me.oid AND a.application_name = pg_catalog.current_setting('application_name') AS is_named_like_tool
    FROM pg_catalog.pg_stat_activity AS a
    JOIN pg_catalog.pg_roles AS r ON r.oid = a.usesysid
    JOIN pg_catalog.pg_roles AS me ON me.rolname = current_user
   WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()
     AND coalesce(a.backend_type, 'client backend') NOT IN ('walsender', 'logical replication worker',
           'logical replication apply worker', 'logical replication tablesync worker',
           'logical replication parallel worker', 'autovacuum worker', 'slotsync worker')
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_get_subscription(NULL) AS s WHERE s.pid = a.pid)
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_get_wal_senders() AS w WHERE w.pid = a.pid)`;

// a session that is starting holds this lock from before it reads the database's defaults until it
// is listed in pg_stat_activity
const startingStatement = `
  SELECT l.pid FROM pg_catalog.pg_locks AS l
   WHERE l.locktype = 'object' AND l.classid = 'pg_catalog.pg_database'::pg_catalog.regclass
     AND l.objid = (SELECT d.oid FROM pg_catalog.pg_database AS d
                     WHERE d.datname = pg_catalog.current_database())
     AND l.mode = 'RowExclusiveLock' AND l.pid <> pg_catalog.pg_backend_pid()`;

/** A session of a client. */
export interface OtherSession {
  readonly pid: number;
  readonly user: string | undefined;
  readonly application: string | undefined;
  readonly state: string | undefined;
  /** Whether it is a superuser's, which the role may not terminate. */
  readonly isProtected: boolean;
  /** Whether it has the role and the application name of the tool's sessions. */
  readonly isNamedLikeTool: boolean;
}

/** Reads the sessions that closing would terminate. */
export async function readOtherSessions(session: Session): Promise<readonly OtherSession[]> {
  const rows = await session.query<
    {
      readonly pid: number;
      readonly username: string | null;
      readonly application: string | null;
      readonly state: string | null;
      readonly is_protected: boolean;
      readonly is_named_like_tool: boolean;
    }
  >(fencedSessions);
  return rows.map(({ pid, username, application, state, ...row }) => ({
    pid,
    user: username ?? undefined,
    application: application ?? undefined,
    state: state ?? undefined,
    isProtected: row.is_protected,
    isNamedLikeTool: row.is_named_like_tool,
  }));
}

/**
 * Closes a side by its sessions, and keeps ending those that come until {@linkcode stop}.
 *
 * States: idle → closing ({@linkcode close}: durable, new sessions are read-only) → idle
 * ({@linkcode release}) or, once the caller has committed the record, closed.
 */
export class SessionFence implements AsyncDisposable {
  readonly #endpoint: Endpoint;
  readonly #record: SideRecord;
  readonly #spared: readonly number[];
  readonly #join: (session: Session) => Promise<void>;
  #session: Session | undefined;
  #loop: Promise<void> | undefined;
  #stopping = new AbortController();
  #failure: unknown;
  /** Sessions of superusers that the last round has seen. */
  #kept: ReadonlySet<number> = new Set();
  /** When sessions that bear the name of a stream were first seen, by process ID. */
  #streamsSince: ReadonlyMap<number, number> = new Map();
  #isClosing: boolean;

  /**
   * @param options `spared`: backends of the caller's own sessions; `join`: has a session of its
   * own take part in the caller's lock
   */
  constructor(
    endpoint: Endpoint,
    record: SideRecord,
    { spared, join }: {
      readonly spared: readonly number[];
      readonly join: (session: Session) => Promise<void>;
    },
  ) {
    this.#endpoint = endpoint;
    this.#record = record;
    this.#spared = spared;
    this.#join = join;
    // an earlier attempt may have died
    this.#isClosing = record.details.isClosing === true;
  }

  /**
   * Makes new sessions read-only and ends the others; returns once none is left that may have begun
   * in read-write mode by default.
   *
   * @param session of the caller, which holds the lock: for the durable transaction
   */
  async close(
    session: Session,
    { maxMs, signal }: { readonly maxMs: number; readonly signal: AbortSignal },
  ): Promise<BarrierAttempt> {
    const start = performance.now();
    const { since } = await session.queryOne<{ readonly since: string }>(
      `SELECT pg_catalog.to_char(pg_catalog.clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS since`,
    );
    this.#isClosing = true;
    await setClosing(session, { record: this.#record, isClosing: true });
    if (this.#session === undefined) {
      this.#session = await retry(() => openSession(this.#endpoint, { signal }), { signal });
      await this.#join(this.#session);
    }
    const deadline = start + Math.min(maxAttemptMs, maxMs);
    // starting backends are read first: one that finishes starting in between is then found as a
    // session
    const starting = await this.#session.query<{ readonly pid: number }>(startingStatement);
    // also those named like the tool: a client may share its URL; what this process opens from now
    // on is not among them
    const remaining = new Set([
      ...starting.map(({ pid }) => pid),
      ...(await this.#readOthers(this.#session)).map(({ pid }) => pid),
    ]);
    for (;;) {
      signal.throwIfAborted();
      const found = await this.#terminate(this.#session, remaining);
      const alive = new Set([
        ...(await this.#session.query<{ readonly pid: number }>(startingStatement)).map(({ pid }) =>
          pid
        ),
        ...(await this.#readOthers(this.#session)).map(({ pid }) => pid),
      ]);
      for (const pid of remaining) if (!alive.has(pid)) remaining.delete(pid);
      const prepared = await readPrepared(this.#session);
      if (remaining.size === 0 && prepared.length === 0) break;
      if (performance.now() > deadline) {
        return {
          isHeld: false,
          ms: performance.now() - start,
          blockers: [
            ...found.filter(({ pid }) => remaining.has(pid)).map(blockerOf),
            ...prepared.map(preparedBlocker),
          ],
        };
      }
      await pause(intervalMs, signal);
    }
    this.#begin(this.#session);
    return { isHeld: true, ms: performance.now() - start, since };
  }

  /** Process IDs of the backends of its own sessions. */
  get processIds(): readonly number[] {
    return this.#session === undefined ? [] : [this.#session.processId];
  }

  /** Whether new sessions are read-only by default, as far as it knows. */
  get isClosing(): boolean {
    return this.#isClosing;
  }

  /** @throws what has ended the loop, so that sessions were no longer terminated */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  #begin(session: Session): void {
    this.#stopping = new AbortController();
    const { signal } = this.#stopping;
    this.#failure = undefined;
    this.#loop = (async () => {
      try {
        while (!signal.aborted) {
          await this.#terminate(session);
          await pause(intervalMs, signal);
        }
      } catch (error) {
        if (!signal.aborted) this.#failure = error;
      }
    })();
  }

  /** Sessions that are not the caller's. */
  async #readOthers(session: Session): Promise<readonly OtherSession[]> {
    return (await readOtherSessions(session)).filter(({ pid }) => !this.#spared.includes(pid));
  }

  /**
   * Ends sessions, except those of the tool that have begun since the side is read-only.
   *
   * @param remaining sessions that existed before
   */
  async #terminate(
    session: Session,
    remaining: ReadonlySet<number> = new Set(),
  ): Promise<readonly OtherSession[]> {
    const others = (await this.#readOthers(session)).filter(({ pid, isNamedLikeTool }) =>
      !isNamedLikeTool || remaining.has(pid)
    );
    // a walsender that starts or ends is for a moment not known to be one
    const { forward, back } = this.#record.details;
    const streams = [...forward, ...(back === null ? [] : [back])];
    const now = performance.now();
    this.#streamsSince = new Map(
      others.filter(({ application }) => streams.includes(application ?? ""))
        .map(({ pid }) => [pid, this.#streamsSince.get(pid) ?? now]),
    );
    const found = others.filter(({ pid }) =>
      now - (this.#streamsSince.get(pid) ?? -Infinity) > startingWalsenderMs
    );
    const kept = found.filter(({ isProtected }) => isProtected);
    const again = kept.filter(({ pid }) => this.#kept.has(pid));
    this.#kept = new Set(kept.map(({ pid }) => pid));
    if (again.length > 0) throw protectedSessions(session, again);
    for (const { pid } of found.filter(({ isProtected }) => !isProtected)) {
      try {
        await session.query("SELECT pg_catalog.pg_terminate_backend($1)", [pid]);
      } catch (error) {
        if (!(error instanceof ServerError)) throw error;
        throw protectedSessions(session, found.filter((each) => each.pid === pid), error);
      }
    }
    return found;
  }

  /** Stops ending sessions. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
    this.#loop = undefined;
  }

  /**
   * Ends what {@linkcode close} has begun: new sessions may write again.
   *
   * @param session of the caller, which holds the lock
   */
  async release(session: Session): Promise<void> {
    if (!this.#isClosing) return;
    await this.stop();
    await setClosing(session, { record: this.#record, isClosing: false });
    this.#isClosing = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.#session?.[Symbol.asyncDispose]();
  }
}

/**
 * Lets new sessions of a side write again that a switch was closing, if it was.
 *
 * @param session holds the lock
 * @param record the current one
 */
export async function reopenSessions(session: Session, record: SideRecord): Promise<void> {
  if (!record.isOpen || record.details.isClosing !== true) return;
  await setClosing(session, { record, isClosing: false });
}

/**
 * Records that a side is being closed, or no longer is, together with the read-only default: both
 * in one transaction.
 */
async function setClosing(
  session: Session,
  { record, isClosing }: { readonly record: SideRecord; readonly isClosing: boolean },
): Promise<void> {
  await session.transaction(async () => {
    const { details } = record;
    await replaceSide(session, record, { ...record, details: { ...details, isClosing } });
    if (isClosing) {
      await session.execute(
        `ALTER DATABASE ${
          quoteIdentifier(session.endpoint.database)
        } SET default_transaction_read_only = on`,
      );
    } else {
      if (!await tryResetReadOnly(session)) throw staysReadOnly(session);
    }
  }, "BEGIN; SET LOCAL synchronous_commit = on; SET LOCAL lock_timeout = '5s'");
}

async function readPrepared(session: Session): Promise<readonly string[]> {
  const rows = await session.query<{ readonly gid: string }>(
    "SELECT gid FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database()",
  );
  return rows.map(({ gid }) => gid);
}

function blockerOf({ pid, user, application, state }: OtherSession): Blocker {
  return {
    pid,
    preparedAs: undefined,
    user,
    application,
    backendType: "client backend",
    state,
    preventsWraparound: false,
    appliesChanges: false,
    ageMs: undefined,
    waitsFor: [],
  };
}

function preparedBlocker(gid: string): Blocker {
  return {
    pid: undefined,
    preparedAs: gid,
    user: undefined,
    application: undefined,
    backendType: "prepared transaction",
    state: "prepared",
    preventsWraparound: false,
    appliesChanges: false,
    ageMs: undefined,
    waitsFor: [],
  };
}

/** Describes sessions by pid, role and application. */
export function describeSessions(sessions: readonly OtherSession[]): string {
  return sessions.map(({ pid, user, application }) =>
    `pid ${pid} (${[user, application].filter((part) => part).join(", ")})`
  ).join(", ");
}

function protectedSessions(
  session: Session,
  sessions: readonly OtherSession[],
  cause?: unknown,
): ReplicatorError {
  return new ReplicatorError(
    `the role may not terminate these sessions: ${describeSessions(sessions)}`,
    {
      side: session.side,
      object: `database ${session.endpoint.database}`,
      remedy: "end them: only a superuser may terminate a superuser's session",
      cause,
    },
  );
}
