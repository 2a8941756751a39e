/**
 * One cutover of a database at a time: an advisory lock on each side, held by a session. Runs of
 * `sync` share it with each other while they change streams or copy tables.
 *
 * What the other sessions of a cutover command change is protected too, because they take part in
 * its lock ({@linkcode joinCutover}): whoever gets the lock next ends them first. A process that
 * was suspended while the server ended its lock therefore changes nothing when it wakes up.
 *
 * @module
 */
import {
  type ErrorDetails,
  ExitCode,
  formatDuration,
  pause,
  poll,
  ReplicatorError,
} from "../core/internal.ts";
import { type Endpoint, ServerError, type Session } from "../postgres/internal.ts";

const lockClass = 0x53455243; // "SERC"
/** Held by one session, exclusively. */
const lockObject = 1;
/** Shared by the other sessions of the same command. */
const memberObject = 2;
/** Shared by the session that holds the lock of a switch, from when its hooks may hold clients. */
const switchObject = 3;

/** The backend of a tool that has just been killed needs a moment to end. */
export const lockWaitMs = 3_000;

const pollMs = 100;

/** How long backends may take to end. */
const endingTimeoutMs = 10_000;

/** Another command works on the databases, or has changed their state since they were read. */
export class OtherCommandError extends ReplicatorError {
  /** Class name, for `error.name`. */
  override readonly name = "OtherCommandError";
  /** The database. */
  readonly place: Pick<Endpoint, "side" | "database">;

  /** Names the database. */
  constructor(
    message: string,
    { side, database }: Pick<Endpoint, "side" | "database">,
    options: Pick<ErrorDetails, "details" | "remedy" | "cause"> = {},
  ) {
    super(message, {
      side,
      object: `database ${database}`,
      exitCode: ExitCode.prerequisite,
      ...options,
    });
    this.place = { side, database };
  }
}

/** The refusal of a command whose databases another one has moved in the meantime. */
export function overtaken(endpoint: Endpoint): OtherCommandError {
  return new OtherCommandError("another command has changed the state of the cutover", endpoint, {
    remedy: "run cutover status to see the current state",
  });
}

/**
 * Takes the lock for as long as the session lasts, and ends what is left of the command that held
 * it before. It protects what the session itself commits: a lock that another session holds could
 * be lost while the transaction lives on.
 *
 * @throws OtherCommandError that names the holder
 */
export async function lockCutover(session: Session): Promise<void> {
  await lock(session, "exclusive");
}

type LockMode = "exclusive" | "shared";

async function lock(session: Session, mode: LockMode): Promise<void> {
  const suffix = mode === "shared" ? "_shared" : "";
  const deadline = performance.now() + lockWaitMs;
  for (;;) {
    const { granted } = await session.queryOne<{ readonly granted: boolean }>(
      `SELECT pg_catalog.pg_try_advisory_lock${suffix}($1, $2) AS granted`,
      [lockClass, lockObject],
    );
    if (granted) break;
    if (performance.now() > deadline) {
      const holder = await readLockHolder(session);
      throw new OtherCommandError(isLockedBy(holder), session.endpoint, {
        details: holder === undefined ? [] : [describeHolder(holder)],
        remedy: holder === undefined ? "wait until it ends" : holderRemedy(holder),
      });
    }
    await pause(pollMs);
  }
  const [left] = await endBackends(session, () => readPids(session, memberObject));
  if (left === undefined) return;
  await unlock(session, mode);
  throw new OtherCommandError(isLockedBy(undefined), session.endpoint, {
    details: [`a session that an earlier command has left does not end: pid ${left}`],
    remedy: endingRemedy(left),
  });
}

/**
 * Lets a session change what the lock protects: it lives no longer than the lock of its command.
 *
 * @param holder the session of the same command that holds the lock of the same side
 * @throws OtherCommandError if it does not hold the lock any longer
 */
export async function joinCutover(session: Session, holder: Session): Promise<void> {
  await session.query("SELECT pg_catalog.pg_advisory_lock_shared($1, $2)", [
    lockClass,
    memberObject,
  ]);
  // in this order: whoever takes the lock from now on finds this session
  if (!await holdsCutoverLock(session, holder.processId)) throw overtaken(session.endpoint);
}

/**
 * Has others know that the lock is that of a switch whose hooks may hold clients.
 *
 * @param holder the session that holds the lock
 */
export async function announceSwitch(holder: Session): Promise<void> {
  await holder.query("SELECT pg_catalog.pg_advisory_lock_shared($1, $2)", [
    lockClass,
    switchObject,
  ]);
}

/**
 * Whether a switch works on the session's database whose hooks may hold clients.
 *
 * @param own process IDs of backends that do not count
 */
export async function isSwitchAnnounced(
  session: Session,
  own: readonly number[],
): Promise<boolean> {
  return (await readPids(session, switchObject)).some((pid) => !own.includes(pid));
}

/**
 * Ends those of the command's own sessions that still hold or share the lock: a backend does not
 * notice while it works, or waits for a standby, that its client has closed the connection.
 *
 * @param pids their process IDs
 */
export async function endOwnSessions(session: Session, pids: readonly number[]): Promise<void> {
  await endBackends(session, async () => {
    const found = [
      ...await readPids(session, lockObject),
      ...await readPids(session, memberObject),
    ];
    return found.filter((pid) => pids.includes(pid));
  });
}

/** Terminates backends once and waits until they have ended; returns those that have not. */
async function endBackends(
  session: Session,
  read: () => Promise<readonly number[]>,
): Promise<readonly number[]> {
  let left: readonly number[] = [];
  await poll(async (probes) => {
    left = await read();
    if (left.length === 0) return true;
    if (probes === 0) { for (const pid of left) await terminateBackend(session, pid); }
    return undefined;
  }, { intervalMs: endingPollMs, timeoutMs: endingTimeoutMs });
  return left;
}

const endingPollMs = 50;

/** Terminates a backend, unless the role may not. */
export async function terminateBackend(session: Session, pid: number): Promise<void> {
  try {
    await session.query("SELECT pg_catalog.pg_terminate_backend($1)", [pid]);
  } catch (error) {
    if (!(error instanceof ServerError)) throw error; // it may end on its own
  }
}

/** Backends that hold one of the locks in the session's database. */
async function readPids(session: Session, object: number): Promise<readonly number[]> {
  const rows = await session.query<{ readonly pid: number }>(
    `SELECT l.pid ${lockSource}`,
    [lockClass, object],
  );
  return rows.map(({ pid }) => pid);
}

const lockSource = `FROM pg_catalog.pg_locks AS l
       LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
      WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted
        AND l.classid::pg_catalog.int8 = $1 AND l.objid::pg_catalog.int8 = $2
        AND l.database = (SELECT oid FROM pg_catalog.pg_database
                           WHERE datname = pg_catalog.current_database())`;

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
  return endingRemedy(pid);
}

function endingRemedy(pid: number): string {
  return `wait until it ends; if its client is gone: SELECT pg_catalog.pg_terminate_backend(${pid});`;
}

/**
 * Does the work while no cutover command works on the database, and keeps them from beginning.
 * Other runs of `sync` are not kept from it.
 *
 * @param session the one that changes something: it is lost together with the lock
 * @throws OtherCommandError that names the holder
 */
export async function withoutCutover<Result>(
  session: Session,
  work: () => Promise<Result>,
): Promise<Result> {
  await lock(session, "shared");
  try {
    return await work();
  } finally {
    await unlock(session, "shared");
  }
}

async function unlock(session: Session, mode: LockMode): Promise<void> {
  if (!session.isOpen) return;
  const suffix = mode === "shared" ? "_shared" : "";
  // it ends with the session at the latest
  await session.query(`SELECT pg_catalog.pg_advisory_unlock${suffix}($1, $2)`, [
    lockClass,
    lockObject,
  ]).catch(() => session.close());
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
       ${lockSource}`,
    [lockClass, lockObject],
  );
  return holder;
}
