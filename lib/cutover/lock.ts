/**
 * One cutover of a database at a time: an advisory lock on each side, held by a session. Runs of
 * `sync` share it with each other while they change streams or copy tables.
 *
 * @module
 */
import { ExitCode, formatDuration, pause, ReplicatorError } from "../core/internal.ts";
import { type Session } from "../postgres/internal.ts";

const lockClass = 0x53455243; // "SERC"
const lockObject = 1;

/** The backend of a tool that has just been killed needs a moment to end. */
export const lockWaitMs = 3_000;

const pollMs = 100;

/**
 * Takes the lock for as long as the session lasts. It protects what the session itself commits: a
 * lock that another session holds could be lost while the transaction lives on.
 *
 * @throws ReplicatorError (prerequisite) that names the holder
 */
export async function lockCutover(session: Session): Promise<void> {
  await lock(session, "pg_try_advisory_lock");
}

async function lock(
  session: Session,
  name: "pg_try_advisory_lock" | "pg_try_advisory_lock_shared",
): Promise<void> {
  const deadline = performance.now() + lockWaitMs;
  for (;;) {
    const { granted } = await session.queryOne<{ readonly granted: boolean }>(
      `SELECT pg_catalog.${name}($1, $2) AS granted`,
      [lockClass, lockObject],
    );
    if (granted) return;
    if (performance.now() > deadline) break;
    await pause(pollMs);
  }
  const holder = await readLockHolder(session);
  throw new ReplicatorError(isLockedBy(holder), {
    side: session.side,
    object: `database ${session.endpoint.database}`,
    details: holder === undefined ? [] : [describeHolder(holder)],
    remedy: holder === undefined ? "wait until it ends" : holderRemedy(holder),
    exitCode: ExitCode.prerequisite,
  });
}

function isLockedBy(holder: LockHolder | undefined): string {
  return holder?.is_sync === true
    ? "sync is copying tables of the database, or starting its streams"
    : "another cutover command is working on the database";
}

/** Another command that holds the lock, in a sentence, and what to do about it. */
export interface LockFinding {
  readonly message: string;
  readonly remedy: string;
}

/**
 * Reads whether another command is working on the session's database, without taking the lock: the
 * caller refuses before it does anything.
 *
 * @param options `waitMs`: how long the lock may still be held, by a backend that is ending
 */
export async function findOtherCommand(
  session: Session,
  { waitMs }: { readonly waitMs: number },
): Promise<LockFinding | undefined> {
  const deadline = performance.now() + waitMs;
  for (;;) {
    const holder = await readLockHolder(session);
    if (holder === undefined) return undefined;
    if (performance.now() >= deadline) {
      return {
        message: `${isLockedBy(holder)}; ${describeHolder(holder)}`,
        remedy: holderRemedy(holder),
      };
    }
    await pause(pollMs);
  }
}

function holderRemedy({ pid }: LockHolder): string {
  return `wait until it ends; if its client is gone: SELECT pg_catalog.pg_terminate_backend(${pid});`;
}

/**
 * Does the work while no cutover command works on the database, and keeps them from beginning.
 * Other runs of `sync` are not kept from it.
 *
 * @param session the one that changes something: it is lost together with the lock
 * @throws ReplicatorError (prerequisite) that names the holder
 */
export async function withoutCutover<Result>(
  session: Session,
  work: () => Promise<Result>,
): Promise<Result> {
  await lock(session, "pg_try_advisory_lock_shared");
  try {
    return await work();
  } finally {
    if (session.isOpen) {
      // it ends with the session at the latest
      await session.query("SELECT pg_catalog.pg_advisory_unlock_shared($1, $2)", [
        lockClass,
        lockObject,
      ]).catch(() => session.close());
    }
  }
}

/** Whether a command is working on the session's database. */
export async function isCutoverLocked(session: Session): Promise<boolean> {
  return (await readLockHolder(session)) !== undefined;
}

/** Whether a backend holds the lock of the session's database. */
export async function holdsCutoverLock(session: Session, pid: number): Promise<boolean> {
  return (await readLockHolder(session))?.pid === pid;
}

type LockHolder = {
  readonly pid: number;
  /** Whether it shares the lock, as only `sync` does. */
  readonly is_sync: boolean;
  readonly role: string | null;
  readonly application: string | null;
  readonly address: string | null;
  readonly since: string | null;
  readonly silence_seconds: number | null;
};

/** `its session: pid 4711 of role app (cutover), from 10.0.0.5, since …, silent for 5 min` */
function describeHolder(
  { pid, role, application, address, since, silence_seconds: silence }: LockHolder,
): string {
  return [
    `its session: pid ${pid}${role === null ? "" : ` of role ${role}`}${
      application ? ` (${application})` : ""
    }`,
    `from ${address ?? "a local socket"}`,
    ...(since === null ? [] : [`connected since ${since} UTC`]),
    ...(silence === null ? [] : [`last active ${formatDuration(silence * 1_000)} ago`]),
  ].join(", ");
}

async function readLockHolder(session: Session): Promise<LockHolder | undefined> {
  const [holder] = await session.query<LockHolder>(
    `SELECT l.pid, l.mode = 'ShareLock' AS is_sync, a.usename::pg_catalog.text AS role, a.application_name AS application,
            pg_catalog.host(a.client_addr) AS address,
            pg_catalog.to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') AS since,
            extract(epoch FROM pg_catalog.clock_timestamp() - a.state_change)::pg_catalog.float8 AS silence_seconds
       FROM pg_catalog.pg_locks AS l
       LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
      WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted
        AND l.classid::pg_catalog.int8 = $1 AND l.objid::pg_catalog.int8 = $2
        AND l.database = (SELECT oid FROM pg_catalog.pg_database
                           WHERE datname = pg_catalog.current_database())`,
    [lockClass, lockObject],
  );
  return holder;
}
