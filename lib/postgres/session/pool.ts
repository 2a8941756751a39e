/**
 * Sessions that are kept open and lent, for a program that asks a database again and again.
 *
 * @module
 */
import type { Endpoint } from "../connect/endpoint.ts";
import { openSession } from "./open_session.ts";
import { ServerError } from "../connect/server_error.ts";
import type { Session, SessionOptions } from "./session.ts";

/** How many sessions, and how they are opened. */
export interface PoolOptions extends Omit<SessionOptions, "signal"> {
  /** Most sessions at once; who comes later waits. */
  readonly size: number;
}

/**
 * Sessions of one endpoint, opened when needed and lent to one borrower at a time: open → disposed,
 * after which nothing is lent any more and who still waits gets an error.
 *
 * A session whose connection has ended is not lent again. Requires `--allow-net` for the server.
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

  /** Lends a session for the time of `work`. */
  async use<Result>(work: (session: Session) => Promise<Result>): Promise<Result> {
    const session = await this.#take();
    try {
      return await work(session);
    } catch (error) {
      // statements that began a transaction of their own may have left it there, aborted: nobody
      // else could use the session
      if (error instanceof ServerError) {
        await session.execute("ROLLBACK").catch(() => session.close());
      }
      throw error;
    } finally {
      await this.#giveBack(session);
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

  async #giveBack(session: Session): Promise<void> {
    if (session.isOpen && !this.#disposed) this.#idle.push(session);
    else await session.close();
    this.#release();
  }

  #release(): void {
    this.#lent--;
    this.#waiting.shift()?.resolve();
    if (this.#lent === 0) { for (const each of this.#returned.splice(0)) each.resolve(); }
  }

  /** Waits until everything lent has come back, and closes. */
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
