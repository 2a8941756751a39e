/**
 * One cutover of a database at a time: an advisory lock on each side, held by a session.
 *
 * @module
 */
import { ExitCode, pause, ReplicatorError } from "../core/internal.ts";
import { type Session } from "../postgres/internal.ts";

const lockClass = 0x53455243; // "SERC"
const lockObject = 1;

/** The backend of a tool that has just been killed needs a moment to end. */
const maxWaitMs = 3_000;

const pollMs = 100;

/**
 * Takes the lock for as long as the session lasts. It protects what the session itself commits: a
 * lock that another session holds could be lost while the transaction lives on.
 *
 * @throws ReplicatorError (prerequisite) that names the holder
 */
export async function lockCutover(session: Session): Promise<void> {
  const deadline = performance.now() + maxWaitMs;
  for (;;) {
    const { granted } = await session.queryOne<{ readonly granted: boolean }>(
      "SELECT pg_catalog.pg_try_advisory_lock($1, $2) AS granted",
      [lockClass, lockObject],
    );
    if (granted) return;
    if (performance.now() > deadline) break;
    await pause(pollMs);
  }
  const holder = await readLockHolder(session);
  throw new ReplicatorError("another cutover command is working on the database", {
    side: session.side,
    object: `database ${session.endpoint.database}`,
    details: holder === undefined
      ? []
      : [`its session: pid ${holder.pid}, from ${holder.address ?? "a local socket"}`],
    remedy: holder === undefined
      ? "wait until it ends"
      : `wait until it ends; if its client is gone: SELECT pg_catalog.pg_terminate_backend(${holder.pid});`,
    exitCode: ExitCode.prerequisite,
  });
}

/** Whether a backend holds the lock of the session's database. */
export async function holdsCutoverLock(session: Session, pid: number): Promise<boolean> {
  return (await readLockHolder(session))?.pid === pid;
}

type LockHolder = { readonly pid: number; readonly address: string | null };

async function readLockHolder(session: Session): Promise<LockHolder | undefined> {
  const [holder] = await session.query<LockHolder>(
    `SELECT l.pid, a.client_addr::pg_catalog.text AS address
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
