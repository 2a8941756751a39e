/**
 * The exported snapshot that all workers and pg_dump use.
 *
 * Source: PostgreSQL documentation, "9.28.5. Snapshot Synchronization Functions".
 *
 * @module
 */
import { type Lsn, parseOptionalLsn, quoteLiteral, ReplicatorError } from "../../core/internal.ts";
import type { Endpoint } from "../connect/endpoint.ts";
import { openSession } from "./open_session.ts";
import { ServerError } from "../connect/server_error.ts";
import type { Session } from "./session.ts";
import { SqlState } from "../protocol/sqlstate.ts";

const beginReading = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
const heartbeatMs = 30_000;

/**
 * Holds a snapshot open.
 *
 * States: held (its transaction is open, and the identifier can be imported) → lost (the session
 * ended; {@linkcode lost} aborts with the reason) or released (disposed).
 */
export class SnapshotHolder implements AsyncDisposable {
  /** Identifier for `SET TRANSACTION SNAPSHOT` and `pg_dump --snapshot`. */
  readonly identifier: string;
  /** The source's WAL position when the snapshot was taken; undefined where it is unknown. */
  readonly lsn: Lsn | undefined;
  readonly #session: Session;
  readonly #lost = new AbortController();
  readonly #timer: ReturnType<typeof setInterval>;
  #heartbeat: Promise<void> = Promise.resolve();
  #released = false;

  private constructor(session: Session, identifier: string, lsn: Lsn | undefined) {
    this.#session = session;
    this.identifier = identifier;
    this.lsn = lsn;
    // a load balancer would drop an idle connection, which would go unnoticed until the end
    this.#timer = setInterval(() => this.#heartbeat = this.#check(), heartbeatMs);
  }

  /** Aborts when the snapshot is lost. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /**
   * Begins a transaction, lets `lock` take its locks in it, and exports the snapshot after them:
   * `LOCK TABLE` takes no snapshot, so a locked table can neither change its columns nor be
   * truncated under the snapshot (TRUNCATE is not MVCC-safe: "13.6. Caveats").
   *
   * @param session becomes the holder's, and is closed with it, or when this throws
   */
  static async export(
    session: Session,
    lock: (session: Session) => Promise<void> = () => Promise.resolve(),
  ): Promise<SnapshotHolder> {
    try {
      await session.execute(beginReading);
      await lock(session);
      const { snapshot, lsn } = await session.queryOne<{ snapshot: string; lsn: string | null }>(`
        SELECT pg_catalog.pg_export_snapshot() AS snapshot,
               CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn() END::pg_catalog.text AS lsn`);
      return new SnapshotHolder(session, snapshot, parseOptionalLsn(lsn));
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  /**
   * Imports a snapshot exported by another session, such as that of a new replication slot, which
   * lasts only until the next command of the slot's session, and exports it again: that identifier
   * is valid as long as the holder.
   *
   * @param options.lsn the source's WAL position at the snapshot: a slot's consistent point
   */
  static async reexport(
    endpoint: Endpoint,
    { identifier, lsn, signal }: {
      readonly identifier: string;
      readonly lsn: Lsn | undefined;
      readonly signal?: AbortSignal | undefined;
    },
  ): Promise<SnapshotHolder> {
    const session = await openSession(endpoint, { signal });
    try {
      await importSnapshot(session, identifier);
      const { snapshot } = await session.queryOne<{ snapshot: string }>(
        "SELECT pg_catalog.pg_export_snapshot() AS snapshot",
      );
      return new SnapshotHolder(session, snapshot, lsn);
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  /** The holder's own session, for queries under the snapshot. */
  get session(): Session {
    return this.#session;
  }

  async #check(): Promise<void> {
    try {
      // a stalled connection does not invalidate the snapshot: the server keeps it until it notices
      await this.#session.query("SELECT 1", [], { mayBeSilent: true });
    } catch (error) {
      if (this.#released) return;
      clearInterval(this.#timer);
      this.#lost.abort(error);
    }
  }

  /** Ends the transaction; the snapshot can no longer be imported. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#released = true;
    await this.#session.close(); // first: a stalled connection answers no heartbeat
    await this.#heartbeat;
  }
}

/**
 * The transaction that exported the snapshot has ended, so it can no longer be imported.
 */
export class SnapshotLostError extends ReplicatorError {
  /** Class name, for `error.name`. */
  override readonly name = "SnapshotLostError";
}

/** SQLSTATEs of a lost snapshot, by version. */
const lostStates: ReadonlySet<string> = new Set([
  SqlState.invalidParameterValue, // 12 to 16: the file does not exist
  SqlState.undefinedObject, // 17 on
  SqlState.objectNotInPrerequisiteState, // the transaction is just ending
]);

/**
 * Begins a read-only transaction that uses the snapshot.
 *
 * @throws SnapshotLostError when the transaction that exported it has ended
 */
export async function importSnapshot(session: Session, identifier: string): Promise<void> {
  try {
    await session.execute(`${beginReading}; SET TRANSACTION SNAPSHOT ${quoteLiteral(identifier)}`);
  } catch (error) {
    if (!(error instanceof ServerError) || !lostStates.has(error.sqlState)) throw error;
    throw new SnapshotLostError(
      `the snapshot of the copy has been lost (${error.serverMessage.message})`,
      {
        side: session.side,
        object: `database ${session.endpoint.database}`,
        details: [
          "The session that held it ended: the server was restarted or failed over, or the session was terminated.",
        ],
        exitCode: error.exitCode,
        cause: error,
      },
    );
  }
}
