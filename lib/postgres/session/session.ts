/**
 * A session on a server: queries through the driver, and protocol exchanges past it.
 *
 * @module
 */
import { encodeOpaque, hasOpaqueBytes, InterruptedError, type Side } from "../../core/internal.ts";
import type { Driver, ValueForm } from "./driver.ts";
import type { Endpoint } from "../connect/endpoint.ts";
import { collectResult, firstError } from "./collect_result.ts";
import { encodeFrame, frame } from "../protocol/frames.ts";
import { inlineParameters } from "./inline_parameters.ts";
import { defaultResultBytes, ProtocolError } from "../protocol/message_limits.ts";
import {
  ConnectionError,
  protocolFailure,
  ServerError,
  serverMessageOf,
} from "../connect/server_error.ts";
import type { LockWatch } from "./lock_watch.ts";
import { connectTransport } from "../connect/connect_transport.ts";
import type { HostPort } from "../connect/url.ts";
import type { Parameter, Row } from "./row.ts";
import type { Connection, ExchangeConnection } from "../connect/connection.ts";

/** How a session is opened. */
export interface SessionOptions {
  /** Ends the session at any point and cancels its statement on the server. */
  readonly signal?: AbortSignal | undefined;
  /** Settings in addition to `pinnedSettings`. */
  readonly settings?: Readonly<Record<string, string>>;
  /**
   * Whether the session evaluates user-defined expressions (checks, generated columns, index
   * expressions, materialized views): settings that they can observe, such as TimeZone and
   * DateStyle, then keep the values of database and role. Not for the tool's own queries.
   *
   * @default false
   */
  readonly computesValues?: boolean;
  /**
   * Whether to connect to a walsender (`replication=database`), which accepts replication commands
   * and statements without parameters. Source: PostgreSQL documentation, "54.4. Streaming
   * Replication Protocol".
   *
   * @default false
   */
  readonly replication?: boolean;
  /**
   * Dates and arrays as text, or as `Date` and JavaScript arrays.
   *
   * @default "text"
   */
  readonly values?: ValueForm;
}

/** How long a server may take to end a session. */
const closeTimeoutMs = 5_000;

/** How long a cancel request may take. */
const cancelTimeoutMs = 5_000;

/**
 * One authenticated session with the settings of `pinnedSettings`.
 *
 * States: open (idle, or in one query or exchange at a time) → closed by {@linkcode close}, by its
 * signal, or because the connection ended; every later call throws a {@linkcode ConnectionError}.
 *
 * Requires `--allow-net` for the server's host (`--allow-read --allow-write` of the folder of a
 * Unix socket).
 */
export class Session implements AsyncDisposable {
  /** Whether it is connected to the source or the target. */
  readonly side: Side;
  /** Database, role and settings it was opened with. */
  readonly endpoint: Endpoint;
  /** `server_version_num`: 150018 is 15.18. */
  readonly serverVersion: number;
  /** Process ID of the backend. */
  readonly processId: number;
  readonly #place: HostPort;
  readonly #connection: Connection;
  readonly #driver: Driver;
  readonly #signal: AbortSignal | undefined;
  readonly #replication: boolean;
  readonly #abort = () => {
    this.#interrupting = this.#interrupt();
  };
  #interrupting: Promise<void> = Promise.resolve();
  #isInTransaction = false;
  /** Statements not answered yet. */
  #unanswered = 0;
  /** Whether the current exchange awaits an answer. */
  #expects: () => boolean = () => false;
  readonly #watching: Promise<void>;
  readonly #lockWatch: LockWatch | undefined;

  /** Use `openSession`. */
  constructor(
    opened: {
      readonly endpoint: Endpoint;
      readonly place: HostPort;
      readonly connection: Connection;
      readonly driver: Driver;
      readonly serverVersion: number;
      readonly processId: number;
      readonly replication: boolean;
      /** Watches the connection for a stall until it is closed. */
      readonly watch: ((awaitsAnswer: () => boolean) => Promise<void>) | undefined;
      /** Watches statements for lock waits. */
      readonly lockWatch: LockWatch | undefined;
    },
    signal: AbortSignal | undefined,
  ) {
    this.side = opened.endpoint.side;
    this.endpoint = opened.endpoint;
    this.serverVersion = opened.serverVersion;
    this.processId = opened.processId;
    this.#place = opened.place;
    this.#connection = opened.connection;
    this.#driver = opened.driver;
    this.#replication = opened.replication;
    this.#lockWatch = opened.lockWatch;
    this.#signal = signal;
    signal?.addEventListener("abort", this.#abort, { once: true });
    this.#watching = opened.watch?.(() => this.#unanswered > 0 || this.#expects()) ??
      Promise.resolve();
    this.#watching.catch(() => {}); // thrown by close()
  }

  /**
   * Process ID that the session was told when it started: its backend's, unless a pooler or proxy
   * keeps its own; undefined when it was told none.
   */
  get announcedProcessId(): number | undefined {
    return this.#connection.backendKey?.processId;
  }

  /** Major version: 15. */
  get majorVersion(): number {
    return Math.floor(this.serverVersion / 10_000);
  }

  /** Whether the connection is open, as far as the client knows. */
  get isOpen(): boolean {
    return this.#connection.isOpen;
  }

  /** Whether TLS protects the connection. */
  get encrypted(): boolean {
    return this.#connection.encrypted;
  }

  /**
   * Runs one statement and returns its rows.
   *
   * Parameters are inlined as literals, which saves a round trip.
   *
   * @param statement one statement with parameters `$1`…
   * @param options `extended`: use the extended protocol, in which the server accepts exactly one
   * statement; `mayBeSilent`: the answer may never come, as for a heartbeat; `resultBytes`: maximum
   * memory of the rows, by default 256 MB; a larger result ends the session
   * @throws ServerError when the server rejects it, ConnectionError when the connection ends
   */
  async query<Result extends object = Row>(
    statement: string,
    parameters: readonly Parameter[] = [],
    { extended = false, mayBeSilent = false, resultBytes = defaultResultBytes }: {
      readonly extended?: boolean;
      readonly mayBeSilent?: boolean;
      readonly resultBytes?: number;
    } = {},
  ): Promise<Result[]> {
    this.#signal?.throwIfAborted();
    const forbid = this.#connection.allowResult(resultBytes);
    const simple = extended || parameters.length === 0
      ? undefined
      : inlineParameters(statement, parameters);
    try {
      const rows = await this.#answer(
        () =>
          simple === undefined && !this.#replication
            ? this.#driver.unsafe<Result[]>(statement, [...parameters], { prepare: false })
            // a walsender supports only simple queries
            : this.#driver.unsafe<Result[]>(simple ?? statement).simple(),
        mayBeSilent ? 0 : 1,
      );
      return present(rows);
    } catch (error) {
      throw this.#explain(error);
    } finally {
      forbid();
    }
  }

  /** Runs a statement that always returns one row. */
  async queryOne<Result extends object = Row>(
    statement: string,
    parameters: readonly Parameter[] = [],
    options: { readonly extended?: boolean; readonly resultBytes?: number } = {},
  ): Promise<Result> {
    const [row] = await this.query<Result>(statement, parameters, options);
    if (row === undefined) throw new Error(`no row returned by: ${statement}`);
    return row;
  }

  /** Runs statements separated by semicolons in one query, and returns the rows of each. */
  async queryAll(statements: string): Promise<Row[][]> {
    this.#signal?.throwIfAborted();
    try {
      const result = await this.#answer(() =>
        this.#driver.unsafe(statements).simple()
      ) as unknown as
        | Row[]
        | Row[][];
      const several = result.length > 0 && result.every((each) => Array.isArray(each));
      return several ? (result as Row[][]).map(present) : [present(result as Row[])];
    } catch (error) {
      throw this.#explain(error);
    }
  }

  /** Runs statements separated by semicolons in one query, and ignores their results. */
  async execute(statements: string): Promise<void> {
    this.#signal?.throwIfAborted();
    if (hasOpaqueBytes(statements)) return await this.#executeBytes(encodeOpaque(statements));
    try {
      await this.#answer(() => this.#driver.unsafe(statements).simple());
    } catch (error) {
      throw this.#explain(error);
    }
  }

  /** For bytes that are not valid UTF-8, which the driver would alter. */
  async #executeBytes(statements: Uint8Array): Promise<void> {
    const body = new Uint8Array(statements.length + 1); // ends in a zero
    body.set(statements);
    const error = firstError(await this.exchange(encodeFrame(frame.query, body)));
    if (error === undefined) return;
    throw new ServerError(error, { side: this.side, object: this.endpoint.database });
  }

  /**
   * Runs `work` in a transaction: committed when it resolves, rolled back when it throws.
   *
   * @param begin the BEGIN statement with its modes
   * @throws Error if the session is in another transaction, which would end with this one, or if
   * the server rolled back because a statement had failed in `work` without `work` failing
   */
  async transaction<Result>(work: () => Promise<Result>, begin = "BEGIN"): Promise<Result> {
    if (this.#isInTransaction) throw new Error("the session is already in a transaction");
    this.#isInTransaction = true;
    try {
      await this.execute(begin);
      let result: Result;
      try {
        result = await work();
      } catch (error) {
        // the first error counts; closing a session that cannot roll back rolls back too
        await this.execute("ROLLBACK").catch(() => this.#connection.close());
        throw error;
      }
      await this.commit();
      return result;
    } finally {
      this.#isInTransaction = false;
    }
  }

  /**
   * Commits a transaction that was begun by a statement.
   *
   * @throws Error if the server rolled it back because a statement in it had failed
   */
  async commit(): Promise<void> {
    this.#signal?.throwIfAborted();
    try {
      const { command } = await this.#answer(() => this.#driver.unsafe("COMMIT").simple());
      // no error: the server answers so once a statement of the transaction has failed
      if (command === "ROLLBACK") throw new Error("the server rolled the transaction back");
    } catch (error) {
      throw this.#explain(error);
    }
  }

  /**
   * Gives `exchange` exclusive use of the connection for protocol messages, bypassing the driver.
   *
   * `exchange` must reach ReadyForQuery before it resolves. When it throws, the state of the server
   * is unknown and the session is closed.
   *
   * @param expects whether an answer is due at the moment; by default always
   */
  async exclusive<Result>(
    exchange: (connection: ExchangeConnection) => Promise<Result>,
    expects: () => boolean = () => true,
  ): Promise<Result> {
    this.#signal?.throwIfAborted();
    const broken = Promise.withResolvers<never>();
    broken.promise.catch(() => {}); // raced below; may reject after the race
    this.#expects = expects;
    // a backend that waits for a lock before receiving rows neither answers nor reads
    const unwatch = this.#lockWatch?.watch(() =>
      (expects() || this.#connection.isWriting) && isQuiet(this.#connection)
    );
    try {
      // throws when the connection broke while it was idle
      const acquired = this.#connection.acquire(broken.reject);
      const result = await Promise.race([
        exchange({
          write: (bytes) => this.#connection.write(bytes),
          receive: acquired.receive,
        }),
        broken.promise,
      ]);
      acquired.release();
      return result;
    } catch (error) {
      this.#connection.close();
      throw this.#explain(error);
    } finally {
      unwatch?.();
      this.#expects = () => false;
    }
  }

  /** Counts a statement as unanswered until it completes. */
  async #answer<Answer>(statement: () => PromiseLike<Answer>, count = 1): Promise<Answer> {
    // the driver rejects only the first statement after the connection has ended, and would let
    // others wait forever for a connection that it cannot open
    if (!this.#connection.isOpen) {
      throw this.#connection.failure ?? new Error("the connection is closed");
    }
    this.#unanswered += count;
    const unwatch = count === 0 ? undefined : this.#lockWatch?.watch();
    try {
      return await statement();
    } finally {
      unwatch?.();
      this.#unanswered -= count;
    }
  }

  /**
   * Sends raw messages and returns the answer up to and including ReadyForQuery.
   *
   * @param messages one or more frontend messages that end in a Query or Sync
   */
  exchange(messages: Uint8Array): Promise<Uint8Array> {
    return this.exclusive((connection) => collectResult(connection, messages));
  }

  /**
   * Asks the server to cancel this session's statement. Source: "54.2.8. Canceling Requests in
   * Progress".
   */
  async cancel(): Promise<void> {
    const key = this.#connection.backendKey;
    if (key === undefined) return;
    const message = new Uint8Array(8 + key.bytes.length);
    const view = new DataView(message.buffer);
    view.setInt32(0, message.length);
    view.setInt32(4, 80877102);
    message.set(key.bytes, 8);
    const signal = AbortSignal.timeout(cancelTimeoutMs);
    const transport = await connectTransport(this.#place, {
      encryption: this.#connection.encrypted ? "required" : "plain",
      tls: this.endpoint.tls,
      signal,
    });
    // an unresponsive network must not delay the end
    const closeNow = () => transport.close();
    signal.addEventListener("abort", closeNow, { once: true });
    try {
      await transport.write(message);
      await transport.read(new Uint8Array(1)); // the server closes after signalling the backend
    } finally {
      signal.removeEventListener("abort", closeNow);
      transport.close();
    }
  }

  /** Ends the session; never throws. */
  async close(): Promise<void> {
    this.#signal?.removeEventListener("abort", this.#abort);
    if (this.#connection.isOpen) {
      const timer = setTimeout(() => this.#connection.close(), closeTimeoutMs);
      // sends Terminate; the connection closes in any case
      this.#driver.end().catch(() => {});
      await this.#connection.closed;
      clearTimeout(timer);
    }
    await this.#interrupting;
    await this.#lockWatch?.close();
    await this.#watching;
  }

  /** Closes the session, as `close` does. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #interrupt(): Promise<void> {
    // a backend that runs a statement does not notice a closed connection, so cancel it first; the
    // connection is closed whether or not that succeeds
    await this.cancel().catch(() => {});
    this.#connection.close(new InterruptedError());
  }

  #explain(error: unknown): unknown {
    if (this.#signal?.aborted) return this.#signal.reason;
    const { failure } = this.#connection;
    const broken = failure instanceof ProtocolError ? failure : error;
    if (broken instanceof ProtocolError) {
      return protocolFailure(broken, this.endpoint, this.#place);
    }
    const message = serverMessageOf(error);
    if (message !== undefined) {
      return new ServerError(message, { side: this.side, object: this.endpoint.database });
    }
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    const network = error instanceof Deno.errors.ConnectionReset ||
      error instanceof Deno.errors.BrokenPipe ||
      error instanceof Deno.errors.UnexpectedEof || error instanceof Deno.errors.BadResource ||
      error instanceof Deno.errors.Interrupted || error instanceof Deno.errors.ConnectionAborted ||
      error instanceof Deno.errors.TimedOut || error instanceof Deno.errors.NotConnected;
    if (
      network || /^(CONNECTION_|E[A-Z]+$|ERR_)/.test(code) ||
      error instanceof Error && isClosed(error)
    ) {
      return new ConnectionError("the connection ended unexpectedly", {
        endpoint: this.endpoint,
        transient: true,
        remedy:
          `check that the server is running; its log shows why the session (pid ${this.processId}) ended`,
        cause: error,
      });
    }
    return error;
  }
}

/**
 * Removes gaps: when a query fails after its first rows, the driver leaves as many gaps in the next
 * result.
 */
function present<Result>(rows: readonly Result[]): Result[] {
  return rows.filter(() => true); // skips gaps
}

const quietMs = 300;

/** Whether no bytes have moved lately. */
function isQuiet({ lastActivityMs }: Connection): boolean {
  return performance.now() - lastActivityMs > quietMs;
}

function isClosed(error: Error): boolean {
  return error.message === "the connection was closed" ||
    error.message === "the connection is closed";
}

/** Formats a list of texts as a `text[]` literal, for a parameter. */
export function textArray(values: readonly string[]): string {
  return `{${values.map((value) => `"${value.replace(/["\\]/g, "\\$&")}"`).join(",")}}`;
}

/** Measures the round-trip time to the session's server, in milliseconds. */
export async function measureRoundTrip(session: Session): Promise<number> {
  let minMs = Infinity;
  for (let attempt = 0; attempt < 2; attempt++) {
    const start = performance.now();
    await session.query("SELECT 1");
    minMs = Math.min(minMs, performance.now() - start);
  }
  return minMs;
}
