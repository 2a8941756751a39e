/**
 * The commits that decide where writes are accepted: each is bounded, and its outcome is what the
 * server has recorded, whatever happened to its answer.
 *
 * @module
 */
import { errorMessage, formatDuration, poll, ReplicatorError, retry } from "../core/internal.ts";
import { durableSettings, type Endpoint, openSession, type Session } from "../postgres/internal.ts";
import { holdsCutoverLock, terminateBackend } from "./lock.ts";
import type { SideRecord } from "./model.ts";
import { readSide } from "./own_schema.ts";

/** What {@linkcode commitSide} takes. */
export interface CommitOptions {
  /**
   * How long the server may take to answer, in milliseconds. With synchronous replication a COMMIT
   * waits for its standbys, for any length of time.
   */
  readonly timeoutMs: number;
  /** Whether the record is the one that the transaction has written. */
  readonly isCommitted: (record: SideRecord | undefined) => boolean;
}

/**
 * Commits a session's transaction, which records its side. If the answer does not come in time or
 * is lost, ends the session's backend and reads the record through a new connection: the
 * transaction has then been committed or it never will be.
 *
 * @param session holds the lock of the cutover
 * @returns whether the server has confirmed it, or has no synchronous standbys: otherwise one of
 * them that is promoted may not have the transaction
 * @throws CommitUnknownError if the server cannot be asked; any other error means that it was not
 * committed
 */
export async function commitSide(
  session: Session,
  { timeoutMs, isCommitted }: CommitOptions,
): Promise<{ readonly isConfirmed: boolean }> {
  try {
    await commitWithin(session, timeoutMs);
    return { isConfirmed: true };
  } catch (error) {
    let found: RecordedSide;
    try {
      found = await readAfterEnding(session.endpoint, session.processId);
    } catch (cause) {
      throw new CommitUnknownError(session.endpoint, cause);
    }
    if (!isCommitted(found.record)) throw error;
    return { isConfirmed: !found.hasStandbys };
  }
}

/** What a server has recorded. */
interface RecordedSide {
  readonly record: SideRecord | undefined;
  /** Whether a COMMIT waits for synchronous standbys. */
  readonly hasStandbys: boolean;
}

async function commitWithin(session: Session, timeoutMs: number): Promise<void> {
  const committing = session.commit();
  committing.catch(() => {}); // rejected later, when the backend has been ended
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(unanswered(session, timeoutMs)), timeoutMs);
  try {
    await Promise.race([committing, late]);
  } finally {
    clearTimeout(timer);
  }
}

function unanswered(session: Session, timeoutMs: number): ReplicatorError {
  return new ReplicatorError(
    `the server did not answer a COMMIT within ${formatDuration(timeoutMs)}`,
    {
      side: session.side,
      object: `database ${session.endpoint.database}`,
      remedy: "check its synchronous standbys (pg_stat_replication) and its disk",
    },
  );
}

const reconnectDelaysMs: readonly number[] = [
  200,
  500,
  1_000,
  2_000,
  5_000,
  10_000,
  20_000,
  30_000,
];

const backendPollMs = 50;
const backendTimeoutMs = 10_000;

/** The record once the backend has ended: it may still be committing. */
async function readAfterEnding(endpoint: Endpoint, pid: number): Promise<RecordedSide> {
  return await retry(async () => {
    await using session = await openSession(endpoint, { settings: durableSettings });
    const ended = await poll(async (probes) => {
      // by its lock: after a restart the process ID may be another session's
      if (!await holdsCutoverLock(session, pid)) return true;
      if (probes === 0) await terminateBackend(session, pid);
      return undefined;
    }, { intervalMs: backendPollMs, timeoutMs: backendTimeoutMs });
    if (ended === undefined) throw new Error(`the backend ${pid} does not end`);
    const { hasStandbys } = await session.queryOne<{ readonly hasStandbys: boolean }>(
      `SELECT pg_catalog.current_setting('synchronous_standby_names') <> '' AS "hasStandbys"`,
    );
    return { record: await readSide(session), hasStandbys };
  }, { delaysMs: reconnectDelaysMs });
}

/** Whether a side has been closed, or opened, is not known. */
export class CommitUnknownError extends ReplicatorError {
  /** Class name, for `error.name`. */
  override readonly name = "CommitUnknownError";

  /** Names the side that does not answer. */
  constructor(endpoint: Endpoint, cause: unknown) {
    super(
      "a COMMIT was not answered, and the server cannot be reached to find out whether it took effect",
      {
        side: endpoint.side,
        object: `database ${endpoint.database}`,
        details: [errorMessage(cause)],
        cause,
      },
    );
  }
}
