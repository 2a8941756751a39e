/**
 * A session pool.
 *
 * @module
 */
import type { Endpoint } from "../connect/endpoint.ts";
import { openSession } from "./open_session.ts";
import { ServerError } from "../connect/server_error.ts";
import type { Session, SessionOptions } from "./session.ts";

/** Size of the pool, and how sessions are opened. */
export interface PoolOptions extends Omit<SessionOptions, "signal"> {
  /** Maximum number of sessions; further borrowers wait. */
  readonly size: number;
}

/**
 * Sessions of one endpoint, opened on demand and lent to one borrower at a time: open → disposed,
 * after which waiting borrowers get an error.
 *
 * A session whose connection has ended is not reused. Requires `--allow-net` for the server.
 */
export class SessionPool implements AsyncDisposable {
  readonly #endpoint: Endpoint;
  readonly #options: PoolOptions;
  readonly #idle: Session[] = [];
  readonly #waiting: PromiseWithResolvers<void>[] = [];
  readonly #returned: PromiseWithResolvers<void>[] = [];
  #lent = 0;
  #disposed = false;

  constructor(endpoint: Endpoint, options: PoolOptions) {
    this.#endpoint = endpoint;
    this.#options = options;
  }

  /** Lends a session for the duration of `work`. */
  async use<Result>(work: (session: Session) => Promise<Result>): Promise<Result> {
    const session = await this.#take();
    try {
      return await work(session);
    } catch (error) {
      // `work` may have left an aborted transaction, in which the session would be unusable
      if (error instanceof ServerError) {
        await session.execute("ROLLBACK").catch(() => session.close());
      }
      throw error;
    } finally {
      await this.#return(session);
    }
  }

  /**
   * Lends a session in a transaction: committed when `work` resolves, rolled back when it throws.
   */
  transaction<Result>(work: (session: Session) => Promise<Result>): Promise<Result> {
    return this.use((session) => session.transaction(() => work(session)));
  }

  async #take(): Promise<Session> {
    while (!this.#disposed && this.#lent >= this.#options.size) {
      const turn = Promise.withResolvers<void>();
      this.#waiting.push(turn);
      await turn.promise;
    }
    if (this.#disposed) throw new Error("the session pool is closed");
    this.#lent++;
    try {
      for (let session = this.#idle.pop(); session !== undefined; session = this.#idle.pop()) {
        if (session.isOpen) return session;
        await session.close();
      }
      return await openSession(this.#endpoint, this.#options);
    } catch (error) {
      this.#release();
      throw error;
    }
  }

  async #return(session: Session): Promise<void> {
    if (session.isOpen && !this.#disposed) this.#idle.push(session);
    else await session.close();
    this.#release();
  }

  #release(): void {
    this.#lent--;
    this.#waiting.shift()?.resolve();
    if (this.#lent === 0) { for (const each of this.#returned.splice(0)) each.resolve(); }
  }

  /** Waits until all sessions have been returned, and closes them. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    for (const each of this.#waiting.splice(0)) each.resolve();
    if (this.#lent > 0) {
      const returned = Promise.withResolvers<void>();
      this.#returned.push(returned);
      await returned.promise;
    }
    await Promise.all(this.#idle.splice(0).map((session) => session.close()));
  }
}
