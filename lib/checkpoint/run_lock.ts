/**
 * One run at a time for a target database, also when the run before was killed and its sessions
 * linger.
 *
 * Two advisory locks of the target database. *Run*: held exclusively by the ledger's session as
 * long as the run lives. *Work*: held shared by every other session of the run
 * (`Endpoint.sharedLock`). Who has *run* and once gets *work* exclusively knows that nothing of an
 * earlier run is still at work there.
 *
 * @module
 */
import { ExitCode, formatDuration, plural, ReplicatorError } from "../core/internal.ts";
import { type AdvisoryLock, pause, type Session } from "../postgres/internal.ts";

const classId = 0x5345524e; // "SERN"
const runLock: AdvisoryLock = [classId, 1];

/** What sessions of a run take, shared. */
export const workLock: AdvisoryLock = [classId, 2];

/** How patient the locking is. */
export interface RunLockOptions {
  readonly signal: AbortSignal;
  /** Told when sessions that an earlier run left behind are ended. */
  readonly onEnded?: (message: string) => void;
  /**
   * The session that the run had it in before, if it had: then the sessions at work are its own.
   */
  readonly before?: number;
  /**
   * The session that an earlier attempt of the same process had it in: its connection may have been
   * lost without the server's noticing.
   */
  readonly ownEarlier?: number | undefined;
  /** How long a run that holds the lock may take to end. */
  readonly graceMs?: number;
}

const pollMs = 100;

/**
 * Takes the run's lock in this session, and ends what an earlier run has left at work.
 *
 * A run that begins has *work* exclusively afterwards: no session of the earlier one, here or on
 * another machine, can come back before the ledger names the new run. It then calls {@linkcode
 * letSessionsWork}.
 *
 * @throws ReplicatorError (prerequisite) that names the session which holds it
 */
export async function takeRunLock(
  session: Session,
  { signal, onEnded = () => {}, before, ownEarlier, graceMs = 10_000 }: RunLockOptions,
): Promise<void> {
  // a connection that broke without a word leaves its session behind, and with it the lock
  const left = before ?? ownEarlier;
  if (left !== undefined) await session.query(endOneStatement, [...runLock, left]);
  await tryUntil(() => tryLock(session, runLock), {
    signal,
    graceMs,
    otherwise: async () => heldBy(session.endpoint.database, await holders(session, runLock)),
  });
  if (before !== undefined) return;
  const tries = Math.ceil(graceMs / pollMs);
  let told = false;
  for (let attempt = 0; !await tryLock(session, workLock); attempt++) {
    const left = await holders(session, workLock);
    if (attempt > tries) throw heldBy(session.endpoint.database, left);
    if (!told && left.length > 0) {
      told = true;
      onEnded(
        `ending ${
          plural(left.length, "session")
        } that an earlier run left at work on the target: ` +
          left.map(({ pid }) => `pid ${pid}`).join(", "),
      );
    }
    // ours, or of a role that we may not end: then they must end by themselves
    await session.query(endStatement, [...workLock]).catch(() => {});
    await pause(pollMs, signal);
  }
}

/** Class of the locks that claim databases of a server by name. */
const claimClassId = classId + 1;

/**
 * Claims databases of the session's server by name until the session ends. Unlike the run's lock
 * this works before a database exists, and before anything in it is looked at; but only among runs
 * that connect to the same maintenance database.
 *
 * @throws ReplicatorError (prerequisite) that names the session which has claimed one of them
 */
export async function claimDatabases(
  session: Session,
  names: readonly string[],
  { signal, graceMs = 5_000 }: {
    readonly signal: AbortSignal;
    /** How long a run that has just ended may take to let go. */
    readonly graceMs?: number;
  },
): Promise<void> {
  // in one order everywhere: two runs over several databases never wait for each other
  for (const name of [...names].sort()) {
    const lock: AdvisoryLock = [claimClassId, await nameKey(name)];
    await tryUntil(() => tryLock(session, lock), {
      signal,
      graceMs: graceMs,
      otherwise: async () => heldBy(name, await holders(session, lock)),
    });
  }
}

/** A name as a key of an advisory lock. */
async function nameKey(name: string): Promise<number> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(name));
  return new DataView(digest).getInt32(0) & 0x7fff_ffff;
}

/**
 * Makes sure that no run is at work in the session's database, without keeping any from beginning.
 *
 * @throws ReplicatorError (prerequisite) that names the session of the run
 */
export async function refuseLiveRun(session: Session): Promise<void> {
  const there = await holders(session, runLock);
  if (there.length > 0) throw heldBy(session.endpoint.database, there);
}

/** Gives *work* back: from now on sessions of the run can be opened. */
export async function letSessionsWork(session: Session): Promise<void> {
  await session.query("SELECT pg_catalog.pg_advisory_unlock($1::int, $2::int)", [...workLock]);
}

async function tryUntil(
  attempt: () => Promise<boolean>,
  { signal, graceMs, otherwise }: {
    readonly signal: AbortSignal;
    readonly graceMs: number;
    readonly otherwise: () => Promise<Error>;
  },
): Promise<void> {
  for (let waited = 0; !await attempt(); waited += pollMs) {
    if (waited >= graceMs) throw await otherwise();
    await pause(pollMs, signal);
  }
}

async function tryLock(session: Session, lock: AdvisoryLock): Promise<boolean> {
  const { taken } = await session.queryOne<{ taken: boolean }>(
    "SELECT pg_catalog.pg_try_advisory_lock($1::int, $2::int) AS taken",
    [...lock],
  );
  return taken;
}

/** A session that holds a lock of a run. */
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
    remedy: "let it finish, or end it; if its machine is gone, run on the target: " +
      `SELECT pg_catalog.pg_terminate_backend(${first?.pid ?? "PID"})`,
    exitCode: ExitCode.prerequisite,
  });
}
