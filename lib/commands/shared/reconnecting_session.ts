/**
 * Sessions that are kept open between samples, to a server that may become unreachable.
 *
 * @module
 */
import {
  ConnectionError,
  type Endpoint,
  isTransientState,
  openSession,
  ServerError,
  type Session,
  SqlState,
  withDatabase,
} from "../../postgres/internal.ts";

/** The answer of one server, or why it is unreachable. */
export type Reachable<Value> =
  | { readonly reached: true; readonly value: Value }
  | { readonly reached: false; readonly error: ConnectionError | ServerError };

/** Databases to try if the one that the URL names does not exist. */
const fallbackDatabases = ["postgres", "template1"] as const;

/**
 * Sessions to the databases of one server, opened when first needed and kept. A broken session is
 * reopened at the next use.
 *
 * States: open → disposed.
 */
export class ReconnectingSession implements AsyncDisposable {
  readonly endpoint: Endpoint;
  readonly #signal: AbortSignal;
  readonly #sessions = new Map<string, Session>();

  constructor(endpoint: Endpoint, signal: AbortSignal) {
    this.endpoint = endpoint;
    this.#signal = signal;
  }

  /** Queries a database of the server, by default the one that the URL names. */
  async query<Value>(
    database: string | undefined,
    work: (session: Session) => Promise<Value>,
  ): Promise<Reachable<Value>> {
    try {
      return { reached: true, value: await work(await this.session(database)) };
    } catch (error) {
      this.#signal.throwIfAborted();
      const gone = error instanceof ConnectionError ||
        error instanceof ServerError && isTransientState(error.sqlState);
      if (!gone) throw error;
      await this.#forget(database);
      return { reached: false, error };
    }
  }

  /** The session to a database, by default the one that the URL names. */
  async session(database?: string): Promise<Session> {
    const key = database ?? this.endpoint.database;
    const known = this.#sessions.get(key);
    if (known !== undefined) return known;
    const opened = database === undefined
      ? await this.#openAny()
      : await openSession(withDatabase(this.endpoint, database), { signal: this.#signal });
    this.#sessions.set(key, opened);
    return opened;
  }

  async #openAny(): Promise<Session> {
    try {
      return await openSession(this.endpoint, { signal: this.#signal });
    } catch (error) {
      const absent = error instanceof ConnectionError &&
        error.sqlState === SqlState.invalidCatalogName;
      if (!absent) throw error;
      for (const name of fallbackDatabases) {
        try {
          return await openSession(withDatabase(this.endpoint, name), { signal: this.#signal });
        } catch (other) {
          if (!(other instanceof ConnectionError)) throw other;
        }
      }
      throw error;
    }
  }

  async #forget(database: string | undefined): Promise<void> {
    const key = database ?? this.endpoint.database;
    const session = this.#sessions.get(key);
    this.#sessions.delete(key);
    await session?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    await Promise.all(sessions.map((session) => session.close()));
  }
}
