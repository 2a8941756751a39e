/**
 * Ensures one run at a time per target database, even if an earlier run was killed and its sessions
 * linger.
 *
 * Uses two advisory locks of the target database. *Run* is held exclusively by the ledger's session
 * for the duration of the run. *Work* is held shared by every other session of the run
 * (`Endpoint.sharedLock`). A run that holds *run* and has acquired *work* exclusively once knows
 * that no session of an earlier run is active.
 *
 * @module
 */
import { ExitCode, formatDuration, plural, poll, ReplicatorError } from "../core/internal.ts";
import { type AdvisoryLock, type Session } from "../postgres/internal.ts";

const classId = 0x5345524e; // "SERN"
const runLock: AdvisoryLock = [classId, 1];

/** The lock that sessions of a run hold shared. */
export const workLock: AdvisoryLock = [classId, 2];

/** Options of {@linkcode takeRunLock}. */
export interface RunLockOptions {
  readonly signal: AbortSignal;
  /** Called when sessions of an earlier run are terminated. */
  readonly onEnded?: (message: string) => void;
  /**
   * The session that held the lock before, if this run held it: active sessions are then its own.
   */
  readonly before?: number;
  /**
   * The session of an earlier attempt of this process: the server may not have noticed that its
   * connection was lost.
   */
  readonly ownEarlier?: number | undefined;
}

const pollMs = 100;

/** How long to wait for a run that holds the lock. */
export const lockGraceMs = 10_000;

/** How long to wait for a run that is ending and has claimed a database. */
const claimGraceMs = 5_000;

/**
 * Takes the run lock in this session, and terminates sessions of an earlier run.
 *
 * A starting run then holds *work* exclusively: no session of the earlier run, on any machine, can
 * return before the ledger names the new run. The caller then calls {@linkcode letSessionsWork}.
 *
 * @throws ReplicatorError (prerequisite) that names the session holding the lock
 */
export async function takeRunLock(
  session: Session,
  { signal, onEnded = () => {}, before, ownEarlier }: RunLockOptions,
): Promise<void> {
  // a connection lost without notice leaves its session and the lock behind
  const left = before ?? ownEarlier;
  if (left !== undefined) await session.query(endOneStatement, [...runLock, left]);
  const { database } = session.endpoint;
  const polling = { intervalMs: pollMs, timeoutMs: lockGraceMs, signal };
  if (!await poll(() => tryLock(session, runLock), polling)) {
    throw heldBy(database, await holders(session, runLock));
  }
  if (before !== undefined) return;
  let reported = false;
  const isAlone = await poll(async () => {
    if (await tryLock(session, workLock)) return true;
    const left = await holders(session, workLock);
    if (!reported && left.length > 0) {
      reported = true;
      onEnded(
        `terminating ${plural(left.length, "session")} of an earlier run on the target: ` +
          left.map(({ pid }) => `pid ${pid}`).join(", "),
      );
    }
    // sessions of other roles may not be terminable: then wait for them to end
    await session.query(endStatement, [...workLock]).catch(() => {});
    return undefined;
  }, polling);
  if (!isAlone) throw heldBy(database, await holders(session, workLock));
}

/** Class of the locks that claim databases of a server by name. */
const claimClassId = classId + 1;

/**
 * Claims databases of the session's server by name until the session ends. Unlike the run lock this
 * works before a database exists, but only among runs that connect to the same maintenance
 * database.
 *
 * @throws ReplicatorError (prerequisite) that names the session that has claimed one of them
 */
export async function claimDatabases(
  session: Session,
  names: readonly string[],
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  // always in the same order, to prevent deadlocks between runs
  for (const name of [...names].sort()) {
    const lock: AdvisoryLock = [claimClassId, await nameKey(name)];
    const isClaimed = await poll(() => tryLock(session, lock), {
      intervalMs: pollMs,
      timeoutMs: claimGraceMs,
      signal,
    });
    if (!isClaimed) throw heldBy(name, await holders(session, lock));
  }
}

/** The advisory lock key of a name. */
async function nameKey(name: string): Promise<number> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(name));
  return new DataView(digest).getInt32(0) & 0x7fff_ffff;
}

/**
 * Verifies that no run is active in the session's database, without preventing one from starting.
 *
 * @throws ReplicatorError (prerequisite) that names the session of the run
 */
export async function refuseLiveRun(session: Session): Promise<void> {
  const found = await findLiveRun(session);
  if (found !== undefined) throw found;
}

/**
 * The error that names the session of the run that is active in the session's database; undefined
 * if there is none, or if it ends within `graceMs`.
 */
export async function findLiveRun(
  session: Session,
  { graceMs = 0, signal }: { readonly graceMs?: number; readonly signal?: AbortSignal } = {},
): Promise<ReplicatorError | undefined> {
  let found = await holders(session, runLock);
  if (found.length > 0 && graceMs > 0) {
    await poll(async () => {
      found = await holders(session, runLock);
      return found.length === 0 || undefined;
    }, { intervalMs: pollMs, timeoutMs: graceMs, ...(signal === undefined ? {} : { signal }) });
  }
  return found.length === 0 ? undefined : heldBy(session.endpoint.database, found);
}

/** Releases *work*, so that sessions of the run can be opened. */
export async function letSessionsWork(session: Session): Promise<void> {
  await session.query("SELECT pg_catalog.pg_advisory_unlock($1::int, $2::int)", [...workLock]);
}

/** @returns undefined if another session holds it */
async function tryLock(session: Session, lock: AdvisoryLock): Promise<true | undefined> {
  const { taken } = await session.queryOne<{ taken: boolean }>(
    "SELECT pg_catalog.pg_try_advisory_lock($1::int, $2::int) AS taken",
    [...lock],
  );
  return taken || undefined;
}

/** A session that holds a lock. */
interface LockHolder {
  readonly pid: number;
  readonly role: string | null;
  readonly application: string | null;
  readonly client: string | null;
  readonly state: string | null;
  readonly seconds: number | null;
}

const holdersStatement = `
  SELECT l.pid, a.usename::pg_catalog.text AS role, a.application_name AS application, coalesce(pg_catalog.host(a.client_addr), 'a local socket') AS client, a.state,
         extract(epoch FROM pg_catalog.clock_timestamp() - a.backend_start)::pg_catalog.float8 AS seconds
    FROM pg_catalog.pg_locks AS l
    LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
   WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted
     AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
     AND l.classid = $1::pg_catalog.oid AND l.objid = $2::pg_catalog.oid AND l.pid <> pg_catalog.pg_backend_pid()
   ORDER BY a.backend_start`;

const endStatement = `
  SELECT pg_catalog.pg_terminate_backend(l.pid)
    FROM pg_catalog.pg_locks AS l
    JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
   WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted
     AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
     AND l.classid = $1::pg_catalog.oid AND l.objid = $2::pg_catalog.oid AND l.pid <> pg_catalog.pg_backend_pid()`;

const endOneStatement = `${endStatement} AND l.pid = $3::int`;

function holders(session: Session, lock: AdvisoryLock): Promise<readonly LockHolder[]> {
  return session.query<LockHolder>(holdersStatement, [...lock]);
}

function heldBy(database: string, [first]: readonly LockHolder[]): ReplicatorError {
  const since = first?.seconds === null || first === undefined
    ? ""
    : `, connected for ${formatDuration(first.seconds * 1_000)}`;
  const who = first === undefined
    ? ""
    : `: session ${first.pid} of role ${first.role ?? "unknown"} from ${
      first.client ?? "elsewhere"
    }${first.application ? ` (${first.application})` : ""}${since}`;
  return new ReplicatorError(`another run is copying into this database${who}`, {
    side: "target",
    object: `database ${database}`,
    remedy: "let it finish, or stop it; if its machine no longer exists, run on the target: " +
      `SELECT pg_catalog.pg_terminate_backend(${first?.pid ?? "PID"})`,
    exitCode: ExitCode.prerequisite,
  });
}
