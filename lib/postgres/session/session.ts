/**
 * A session on a server: queries through the driver, and whole exchanges of the protocol past it.
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
import type { Connection, ExchangeWire } from "../connect/connection.ts";

/** How a session is opened. */
export interface SessionOptions {
  /** Ends the session wherever it is: what runs on the server is cancelled. */
  readonly signal?: AbortSignal | undefined;
  /** Settings on top of `pinnedSettings`. */
  readonly settings?: Readonly<Record<string, string>>;
  /**
   * Whether expressions of the user's are computed in it (checks, generated columns, index
   * expressions, materialized views): what they can see, such as TimeZone and DateStyle, then stays
   * as the database and the role have it. Not for queries of the tool's own.
   *
   * @default false
   */
  readonly computesValues?: boolean;
  /**
   * A walsender of the database (`replication=database`), which takes replication commands besides
   * statements, and no parameters. Source: PostgreSQL documentation, "54.4. Streaming Replication
   * Protocol".
   */
  readonly replication?: boolean;
  /** Dates and arrays as text (the default), or as `Date` and arrays of JavaScript. */
  readonly values?: ValueForm;
}

/** How long a server may take to let a session go. */
const closeTimeoutMs = 5_000;

/** How long the request to cancel a statement may take. */
const cancelTimeoutMs = 5_000;

/**
 * One authenticated session with the settings of `pinnedSettings`.
 *
 * States: open (idle, or in one query or exchange at a time) → closed, by {@linkcode close}, by its
 * signal, or because the connection ended; then every call throws a {@linkcode ConnectionError}.
 *
 * Requires `--allow-net` for the server's host (`--allow-read --allow-write` of the folder of a
 * Unix socket).
 */
export class Session implements AsyncDisposable {
  readonly side: Side;
  readonly endpoint: Endpoint;
  /** `server_version_num`: 150018 is 15.18. */
  readonly serverVersion: number;
  /** Process id of the backend. */
  readonly processId: number;
  readonly #place: HostPort;
  readonly #wire: Connection;
  readonly #driver: Driver;
  readonly #signal: AbortSignal | undefined;
  readonly #replication: boolean;
  readonly #abort = () => {
    this.#interrupting = this.#interrupt();
  };
  #interrupting: Promise<void> = Promise.resolve();
  /** Statements whose answers are due. */
  #unanswered = 0;
  /** Whether the exchange under way has an answer due. */
  #expects: () => boolean = () => false;
  readonly #watching: Promise<void>;
  readonly #lockWatch: LockWatch | undefined;

  /** Use `openSession`. */
  constructor(
    opened: {
      readonly endpoint: Endpoint;
      readonly place: HostPort;
      readonly wire: Connection;
      readonly driver: Driver;
      readonly serverVersion: number;
      readonly processId: number;
      readonly replication: boolean;
      /** Watches the connection until it is closed. */
      readonly watch: ((awaitsAnswer: () => boolean) => Promise<void>) | undefined;
      /** Watches statements for locks that they wait for. */
      readonly lockWatch: LockWatch | undefined;
    },
    signal: AbortSignal | undefined,
  ) {
    this.side = opened.endpoint.side;
    this.endpoint = opened.endpoint;
    this.serverVersion = opened.serverVersion;
    this.processId = opened.processId;
    this.#place = opened.place;
    this.#wire = opened.wire;
    this.#driver = opened.driver;
    this.#replication = opened.replication;
    this.#lockWatch = opened.lockWatch;
    this.#signal = signal;
    signal?.addEventListener("abort", this.#abort, { once: true });
    this.#watching = opened.watch?.(() => this.#unanswered > 0 || this.#expects()) ??
      Promise.resolve();
    this.#watching.catch(() => {}); // thrown by close()
  }

  /** Major version: 15. */
  get majorVersion(): number {
    return Math.floor(this.serverVersion / 10_000);
  }

  /** Whether the connection still stands, as far as this side knows. */
  get isOpen(): boolean {
    return this.#wire.isOpen;
  }

  /** Whether TLS protects the connection. */
  get encrypted(): boolean {
    return this.#wire.encrypted;
  }

  /**
   * Runs one statement and returns its rows.
   *
   * Parameters are put into the statement as literals, which saves a round trip each time.
   *
   * @param statement one statement; `$1`… stand for the parameters
   * @param options `extended`: by the extended protocol, in which the server takes one statement
   * and no more; `mayBeSilent`: nobody minds when the answer never comes, as with a heartbeat;
   * `resultBytes`: how much memory the rows may take, by default 256 MB: a larger answer ends the
   * session
   * @throws ServerError when the server refuses it, ConnectionError when the connection ends
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
    const forbid = this.#wire.allowResult(resultBytes);
    const simple = extended || parameters.length === 0
      ? undefined
      : inlineParameters(statement, parameters);
    try {
      const rows = await this.#answer(
        () =>
          simple === undefined && !this.#replication
            ? this.#driver.unsafe<Result[]>(statement, [...parameters], { prepare: false })
            // all that a walsender knows
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

  /** The one row of a statement that always gives one. */
  async queryOne<Result extends object = Row>(
    statement: string,
    parameters: readonly Parameter[] = [],
    options: { readonly extended?: boolean; readonly resultBytes?: number } = {},
  ): Promise<Result> {
    const [row] = await this.query<Result>(statement, parameters, options);
    if (row === undefined) throw new Error(`no row came back from: ${statement}`);
    return row;
  }

  /** Runs statements, several at once if separated by semicolons, and returns the rows of each. */
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

  /** Runs statements, several at once if separated by semicolons, and ignores what they return. */
  async execute(statements: string): Promise<void> {
    this.#signal?.throwIfAborted();
    if (hasOpaqueBytes(statements)) return await this.#executeBytes(encodeOpaque(statements));
    try {
      await this.#answer(() => this.#driver.unsafe(statements).simple());
    } catch (error) {
      throw this.#explain(error);
    }
  }

  /** The driver would write what is no valid UTF-8 as something else. */
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
   */
  async transaction<Result>(work: () => Promise<Result>, begin = "BEGIN"): Promise<Result> {
    await this.execute(begin);
    let result: Result;
    try {
      result = await work();
    } catch (error) {
      // the first error is the one that counts; a session that cannot even roll back is closed,
      // which rolls back too
      await this.execute("ROLLBACK").catch(() => this.#wire.close());
      throw error;
    }
    await this.execute("COMMIT");
    return result;
  }

  /**
   * Takes the connection over for an exchange of protocol messages, past the driver.
   *
   * `exchange` must come to ReadyForQuery before it resolves. When it throws, where the server
   * stands is unknown and the session is closed.
   *
   * @param expects whether the server has something to say just now; always, when it is not given
   */
  async takeOver<Result>(
    exchange: (wire: ExchangeWire) => Promise<Result>,
    expects: () => boolean = () => true,
  ): Promise<Result> {
    this.#signal?.throwIfAborted();
    const broken = Promise.withResolvers<never>();
    broken.promise.catch(() => {}); // raced below; may come when nobody waits any more
    this.#expects = expects;
    // a backend that waits for a lock before it takes rows answers nothing and reads nothing
    const unwatch = this.#lockWatch?.watch(() =>
      (expects() || this.#wire.isWriting) && isStill(this.#wire)
    );
    try {
      // throws when the connection broke while it was idle
      const taken = this.#wire.take(broken.reject);
      const result = await Promise.race([
        exchange({
          write: (bytes) => this.#wire.write(bytes),
          receive: taken.receive,
        }),
        broken.promise,
      ]);
      taken.giveBack();
      return result;
    } catch (error) {
      this.#wire.close();
      throw this.#explain(error);
    } finally {
      unwatch?.();
      this.#expects = () => false;
    }
  }

  /** Counts a statement as unanswered until it is. */
  async #answer<Answer>(statement: () => PromiseLike<Answer>, count = 1): Promise<Answer> {
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
   * Sends raw messages and returns everything that comes up to and including ReadyForQuery.
   *
   * @param messages one or more frontend messages that end in a Query or Sync
   */
  exchange(messages: Uint8Array): Promise<Uint8Array> {
    return this.takeOver((wire) => collectResult(wire, messages));
  }

  /**
   * Asks the server to cancel what this session runs. Source: "54.2.8. Canceling Requests in
   * Progress".
   */
  async cancel(): Promise<void> {
    const key = this.#wire.backendKey;
    if (key === undefined) return;
    const message = new Uint8Array(8 + key.bytes.length);
    const view = new DataView(message.buffer);
    view.setInt32(0, message.length);
    view.setInt32(4, 80877102);
    message.set(key.bytes, 8);
    const signal = AbortSignal.timeout(cancelTimeoutMs);
    const transport = await connectTransport(this.#place, {
      encryption: this.#wire.encrypted ? "required" : "plain",
      tls: this.endpoint.tls,
      signal,
    });
    // a network that swallows everything must not keep us from ending
    const giveUp = () => transport.close();
    signal.addEventListener("abort", giveUp, { once: true });
    try {
      await transport.write(message);
      await transport.read(new Uint8Array(1)); // the server closes when it has passed the signal on
    } finally {
      signal.removeEventListener("abort", giveUp);
      transport.close();
    }
  }

  /** Ends the session; never throws. */
  async close(): Promise<void> {
    this.#signal?.removeEventListener("abort", this.#abort);
    if (this.#wire.isOpen) {
      const patience = setTimeout(() => this.#wire.close(), closeTimeoutMs);
      // says Terminate; whatever becomes of it, the connection closes
      this.#driver.end().catch(() => {});
      await this.#wire.closed;
      clearTimeout(patience);
    }
    await this.#interrupting;
    await this.#lockWatch?.close();
    await this.#watching;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #interrupt(): Promise<void> {
    // a backend in the middle of a statement does not notice a closed connection; cancelling ends
    // it at once
    // the connection is closed whether or not the cancel request got through
    await this.cancel().catch(() => {});
    this.#wire.close(new InterruptedError());
  }

  #explain(error: unknown): unknown {
    if (this.#signal?.aborted) return this.#signal.reason;
    const { failure } = this.#wire;
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
          `is the server still running? its log says why the session (pid ${this.processId}) ended`,
        cause: error,
      });
    }
    return error;
  }
}

/**
 * When a query fails after its first rows, the driver counts these and leaves as many gaps in the
 * next result.
 */
function present<Result>(rows: readonly Result[]): Result[] {
  return rows.filter(() => true); // passes over gaps
}

const stillMs = 300;

/** Whether nothing has come or gone for a moment. */
function isStill({ movedMs }: Connection): boolean {
  return performance.now() - movedMs > stillMs;
}

function isClosed(error: Error): boolean {
  return error.message === "the connection was closed" ||
    error.message === "the connection is closed";
}

/** A list of texts as a literal of `text[]`, for a parameter. */
export function textArray(values: readonly string[]): string {
  return `{${values.map((value) => `"${value.replace(/["\\]/g, "\\$&")}"`).join(",")}}`;
}

/** How far away a session's server is, in milliseconds. */
export async function measureRoundTrip(session: Session): Promise<number> {
  let least = Infinity;
  for (let attempt = 0; attempt < 2; attempt++) {
    const start = performance.now();
    await session.query("SELECT 1");
    least = Math.min(least, performance.now() - start);
  }
  return least;
}
