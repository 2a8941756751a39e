/**
 * The advisory locks of a stream whose changes the tool itself applies. The process that applies
 * them holds one on the target: at most one process does, and other sessions see in `pg_locks`
 * whether one does. While the stream is stopped, processes that will resume it share another.
 *
 * @module
 */
import { applySchema } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";

/** The lock's first key, the same for all streams. */
const lockClass = 0x53455241; // "SERA"

/** The first key of the lock of those that wait for a stopped stream. */
const waitingClass = 0x53455257; // "SERW"

/** The two keys of a session-level advisory lock, as `pg_advisory_lock(int4, int4)` takes them. */
export type ApplyLockKey = readonly [classId: number, objectId: number];

/** The key of a stream's lock. */
export function applyLockKey(stream: string): ApplyLockKey {
  // FNV-1a over the name, which consists of ASCII characters
  let hash = 0x811c9dc5;
  for (let at = 0; at < stream.length; at++) {
    hash = Math.imul(hash ^ stream.charCodeAt(at), 0x01000193);
  }
  return [lockClass, hash | 0];
}

// any role that may connect can hold an advisory lock: only one that may write the record counts
const holderStatement = `
  SELECT l.pid, l.objid AS object_id, a.usename AS role,
         coalesce(pg_catalog.has_table_privilege(a.usesysid, s.oid, 'UPDATE'), false) AS may_apply
    FROM pg_catalog.pg_locks AS l
    LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
    LEFT JOIN (SELECT c.oid FROM pg_catalog.pg_class AS c
                 JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                WHERE n.nspname = '${applySchema}' AND c.relname = 'stream') AS s ON true
   WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted
     AND l.classid::pg_catalog.int8 = $1
     AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d
                        WHERE d.datname = pg_catalog.current_database())`;

const sessionStatement = `
  SELECT pg_catalog.host(a.client_addr) AS host FROM pg_catalog.pg_stat_activity AS a WHERE a.pid = $1`;

/**
 * The process that applies a stream's changes, as the target sees it: `session 4711 of the target,
 * from 10.0.0.5`; undefined if there is none.
 */
export async function describeApplyProcess(
  session: Session,
  stream: string,
): Promise<string | undefined> {
  const pid = (await readApplyLocks(session))(stream);
  if (pid === undefined) return undefined;
  const [row] = await session.query<{ readonly host: string | null }>(sessionStatement, [pid]);
  // null over a socket, and for sessions of roles whose activity is hidden
  return `session ${pid} of the target${row?.host ? `, from ${row.host}` : ""}`;
}

/**
 * A session that holds the lock of a stream although its role may not apply changes: `session 4711
 * of the role app`; undefined if there is none.
 */
export async function describeIntruder(
  session: Session,
  stream: string,
): Promise<string | undefined> {
  const rows = await session.query<HolderRow>(holderStatement, [lockClass]);
  const found = rows.find((row) => !row.may_apply && row.object_id === lockObjectOf(stream));
  return found === undefined
    ? undefined
    : `session ${found.pid} of the role ${found.role ?? "(unknown)"}`;
}

/** Reads which backend holds the lock of each stream in the session's database. */
export async function readApplyLocks(
  session: Session,
): Promise<(stream: string) => number | undefined> {
  return await readHolders(session, lockClass);
}

/**
 * Shows other sessions, until this one ends, that its process applies the stream's changes as soon
 * as a command starts the stream.
 */
export async function announceWaiting(session: Session, stream: string): Promise<void> {
  await session.query("SELECT pg_catalog.pg_try_advisory_lock_shared($1, $2)", [
    waitingClass,
    applyLockKey(stream)[1],
  ]);
}

/** Reads whether a process waits for each stream of the session's database to be started. */
export async function readWaiting(session: Session): Promise<(stream: string) => boolean> {
  const pidOf = await readHolders(session, waitingClass);
  return (stream) => pidOf(stream) !== undefined;
}

type HolderRow = {
  readonly pid: number;
  readonly object_id: number;
  readonly role: string | null;
  readonly may_apply: boolean;
};

/** An OID is unsigned. */
function lockObjectOf(stream: string): number {
  return applyLockKey(stream)[1] >>> 0;
}

async function readHolders(
  session: Session,
  lock: number,
): Promise<(stream: string) => number | undefined> {
  const rows = await session.query<HolderRow>(holderStatement, [lock]);
  const holders = rows.filter(({ may_apply }) => may_apply);
  const pids = new Map(holders.map(({ pid, object_id }) => [object_id, pid]));
  return (stream) => pids.get(lockObjectOf(stream));
}
