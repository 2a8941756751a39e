import { errorMessage, pause, retry } from "../../core/internal.ts";

/** Settings of {@linkcode ConnectionLimiter}. */
export interface ConnectionLimiterOptions {
  readonly hostname: string;
  readonly port: number;
  readonly tls: { readonly certificate: string; readonly key: string } | undefined;
  /** The address of the server behind it, on this machine. */
  readonly behind: () => { readonly hostname: string; readonly port: number };
  /** Maximum number of concurrent connections. */
  readonly maxConnections: number;
  /**
   * A connection without a response for this long is closed, including an idle one. Event streams
   * send data more often than this.
   */
  readonly graceMs: number;
  /** Called with errors; the same error is reported at most every ten seconds. */
  readonly onError: (error: unknown) => void;
}

interface ClientConnection {
  readonly outer: Deno.Conn;
  inner: Deno.TcpConn | undefined;
  /** Whether it ever got a response; connections without one are closed first. */
  answered: boolean;
  /** Bytes sent since the last response. */
  requestBytes: number;
  /** When it connected, began to send a request, or last got a response. */
  since: number;
  readonly closed: PromiseWithResolvers<void>;
}

/** How long a client may take to read the rest of a response after its connection was shut down. */
const lingerMs = 1_000;

/** Larger than any valid request; `Deno.serve` would keep reading a body that was rejected. */
const maxRequestBytes = 1 << 20;

/** Pauses before connecting again to the server, which may be restarting. */
const connectDelaysMs: readonly number[] = Array<number>(9).fill(100);

/** Lower bound of the limit, however few file descriptors are left. */
const minConnections = 4;

const reportAgainMs = 10_000;

/**
 * Protects `Deno.serve`, which waits indefinitely for the head of a request and stops for good when
 * the process runs out of file descriptors. Bytes are passed through unread. If there are too many
 * connections, the one waiting longest for a response is closed: slow or silent requests never get
 * one. If file descriptors run out, the limit is lowered.
 *
 * Listening → stopped → disposed, which closes all connections after their last bytes were passed
 * on. Requires `--allow-net`.
 */
export class ConnectionLimiter implements AsyncDisposable {
  readonly #options: ConnectionLimiterOptions;
  readonly #listener: Deno.Listener;
  readonly #clients = new Set<ClientConnection>();
  readonly #serving = new Set<Promise<void>>();
  readonly #byPort = new Map<number, ClientConnection>();
  readonly #reportedAt = new Map<string, number>();
  readonly #accepting: Promise<void>;
  readonly #timer: ReturnType<typeof setInterval>;
  #max: number;
  #stopped = false;

  constructor(options: ConnectionLimiterOptions) {
    this.#options = options;
    this.#max = options.maxConnections;
    const { hostname, port, tls } = options;
    this.#listener = tls === undefined
      ? Deno.listen({ hostname, port })
      : Deno.listenTls({ hostname, port, cert: tls.certificate, key: tls.key });
    this.#accepting = this.#accept();
    this.#timer = setInterval(() => {
      this.#closeSilent();
      // descriptors may be available again
      this.#max = Math.min(options.maxConnections, Math.ceil(this.#max * 1.05));
    }, options.graceMs / 4);
  }

  /** The port it listens on. */
  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  /** Number of open connections. */
  get size(): number {
    return this.#clients.size;
  }

  /**
   * The client's address of the connection that reached the server from this port; undefined if it
   * was not made by this limiter.
   */
  addressOf(port: number): string | undefined {
    const client = this.#byPort.get(port);
    return client === undefined ? undefined : (client.outer.remoteAddr as Deno.NetAddr).hostname;
  }

  async #accept(): Promise<void> {
    while (!this.#stopped) {
      try {
        this.#take(await this.#listener.accept());
      } catch (error) {
        if (this.#stopped) return;
        this.#report(error);
        if (isOutOfDescriptors(error)) this.makeRoom();
        await pause(100);
      }
    }
  }

  #take(outer: Deno.Conn): void {
    if (this.#clients.size >= this.#max) this.#closeOldest();
    const client: ClientConnection = {
      outer,
      inner: undefined,
      answered: false,
      requestBytes: 0,
      since: performance.now(),
      closed: Promise.withResolvers(),
    };
    this.#clients.add(client);
    // a client that disconnects is not an error; failures to reach the server are reported where
    // they occur
    const serving: Promise<void> = this.#serve(client).catch(() => {}).finally(() => {
      this.#close(client);
      this.#serving.delete(serving);
    });
    this.#serving.add(serving);
  }

  async #serve(client: ClientConnection): Promise<void> {
    const inner = await this.#connect(client);
    if (inner === undefined) return;
    const { port } = inner.localAddr as Deno.NetAddr;
    this.#byPort.set(port, client);
    try {
      const requests = this.#passRequests(client, inner);
      requests.catch(() => this.#close(client)); // the client disconnected: so must the server
      await this.#passResponses(client, inner);
      await client.outer.closeWrite();
      // closing while the client is still sending would reset the connection, and the client might
      // never read the response
      await linger(Promise.race([requests, client.closed.promise]));
    } finally {
      if (this.#byPort.get(port) === client) this.#byPort.delete(port);
    }
  }

  /** Connects to the server; undefined if the client's connection was closed in the meantime. */
  async #connect(client: ClientConnection): Promise<Deno.TcpConn | undefined> {
    const inner = await retry(async () => {
      if (!this.#clients.has(client)) return undefined;
      try {
        return await Deno.connect(this.#options.behind());
      } catch (error) {
        if (isOutOfDescriptors(error)) this.makeRoom(client);
        this.#report(error);
        throw error;
      }
    }, { delaysMs: connectDelaysMs, isRetryable: () => true });
    if (!this.#clients.has(client)) return void inner?.close();
    client.inner = inner;
    return inner;
  }

  /**
   * Resolves when the client has shut down its side; fails if it disconnects or sends too much.
   */
  async #passRequests(client: ClientConnection, inner: Deno.TcpConn): Promise<void> {
    let isReading = true;
    for await (const bytes of chunksOf(client.outer)) {
      if (client.requestBytes === 0) client.since = performance.now();
      client.requestBytes += bytes.length;
      if (client.requestBytes > maxRequestBytes) {
        await linger(client.closed.promise); // let the client read the response
        throw new Error("the request is too large");
      }
      // a server may shut down its side early; its response must still be passed on
      if (isReading) isReading = await writeAll(inner, bytes).then(() => true, () => false);
    }
    // the server has ended; the response says why
    if (isReading) await inner.closeWrite().catch(() => {});
  }

  /** Resolves when the server has ended the connection; fails if the client disconnects. */
  async #passResponses(client: ClientConnection, inner: Deno.TcpConn): Promise<void> {
    for await (const bytes of untilBroken(chunksOf(inner))) {
      await writeAll(client.outer, bytes);
      Object.assign(client, { answered: true, requestBytes: 0, since: performance.now() });
    }
  }

  /**
   * Lowers the limit, because the process has run out of file descriptors.
   */
  makeRoom(except?: unknown): void {
    this.#max = Math.max(
      minConnections,
      Math.min(this.#max, Math.floor(this.#clients.size * 3 / 4)),
    );
    while (this.#clients.size > this.#max && this.#closeOldest(except));
  }

  #closeOldest(except?: unknown): boolean {
    let oldest: ClientConnection | undefined;
    for (const client of this.#clients) {
      if (client === except) continue;
      if (oldest === undefined || closesBefore(client, oldest)) oldest = client;
    }
    if (oldest !== undefined) this.#close(oldest);
    return oldest !== undefined;
  }

  #closeSilent(): void {
    const before = performance.now() - this.#options.graceMs;
    for (const client of this.#clients) if (client.since < before) this.#close(client);
  }

  #close(client: ClientConnection): void {
    if (!this.#clients.delete(client)) return;
    client.closed.resolve();
    for (const end of [client.outer, client.inner]) {
      try {
        end?.close();
      } catch {
        // already closed
      }
    }
  }

  #report(error: unknown): void {
    const text = errorMessage(error);
    const now = performance.now();
    if (now - (this.#reportedAt.get(text) ?? -Infinity) < reportAgainMs) return;
    this.#reportedAt.set(text, now);
    this.#options.onError(error);
  }

  async #served(): Promise<void> {
    await Promise.all(this.#serving);
  }

  /** Stops accepting connections; existing ones continue. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#listener.close();
    await this.#accepting;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    clearInterval(this.#timer);
    // the last bytes of the server's responses may not have been passed on yet
    await linger(this.#served());
    for (const client of [...this.#clients]) this.#close(client);
    await this.#served();
  }
}

/** Connections that never got a response close first, then those that have waited longest. */
function closesBefore(a: ClientConnection, b: ClientConnection): boolean {
  return a.answered === b.answered ? a.since < b.since : !a.answered;
}

/** Waits for a promise, but not for long. */
async function linger(until: Promise<void>): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, lingerMs);
  try {
    await Promise.race([until, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Whether an error means that the process or the machine has run out of file descriptors. */
export function isOutOfDescriptors(error: unknown): boolean {
  const { code, message = "" } = error as { readonly code?: unknown; readonly message?: string };
  // the error of Deno.serve has no code
  return code === "EMFILE" || code === "ENFILE" || /\(os error 2[34]\)$/.test(message);
}

/** Reads into one buffer: a chunk is valid until the next is requested. */
async function* chunksOf(connection: Deno.Conn): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(16 * 1024);
  for (
    let read = await connection.read(buffer);
    read !== null;
    read = await connection.read(buffer)
  ) {
    yield buffer.subarray(0, read);
  }
}

/** Treats a connection reset as its end. */
async function* untilBroken(chunks: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  while (true) {
    const next = await chunks.next().catch(() => undefined);
    if (next === undefined || next.done) return;
    yield next.value;
  }
}

async function writeAll(to: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await to.write(bytes.subarray(sent));
}
