/**
 * When a tool's first rows arrive on the target.
 *
 * @module
 */
import { openSession, resolveEndpoint, type Session } from "../../lib/postgres/internal.ts";

/** From here on, a server reports the progress of COPY. */
const reportsProgress = 14;

const everyMs = 5;

const statement = `
  SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_copy
                  WHERE command = 'COPY FROM' AND tuples_processed > 0) AS arrived`;

/**
 * Watches a server for the first rows of any COPY; a COPY of few rows may end unseen.
 *
 * States: idle → watching ({@linkcode FirstRow.begin}) → ended, when rows were seen or by
 * {@linkcode FirstRow.end}.
 */
export class FirstRow implements AsyncDisposable {
  readonly #session: Session;
  #watching: Promise<void> = Promise.resolve();
  #seconds: number | undefined;
  #ended = false;

  private constructor(session: Session) {
    this.#session = session;
  }

  /** Connects to the server. */
  static async open(url: string): Promise<FirstRow> {
    return new FirstRow(await openSession(await resolveEndpoint(url, { side: "target" })));
  }

  /** Begins to watch, and to count the time. */
  begin(): void {
    if (this.#session.majorVersion < reportsProgress) return;
    const start = performance.now();
    const watch = async () => {
      while (!this.#ended) {
        const { arrived } = await this.#session.queryOne<{ readonly arrived: boolean }>(statement);
        if (arrived) {
          this.#seconds = (performance.now() - start) / 1000;
          return;
        }
        await new Promise((resolve) => setTimeout(resolve, everyMs));
      }
    };
    this.#watching = watch();
    this.#watching.catch(() => {}); // thrown by end()
  }

  /** Ends watching. @returns seconds from the beginning; undefined if no rows were seen */
  async end(): Promise<number | undefined> {
    this.#ended = true;
    await this.#watching;
    return this.#seconds;
  }

  /** Closes the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    await this.#session.close();
  }
}
