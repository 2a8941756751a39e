import { errorMessage } from "../../core/internal.ts";

/** Where a front listens, and for whom. */
export interface ConnectionLimiterOptions {
  readonly hostname: string;
  readonly port: number;
  readonly tls: { readonly certificate: string; readonly key: string } | undefined;
  /** The server behind, on this machine. */
  readonly behind: () => { readonly hostname: string; readonly port: number };
  /** Connections at once. */
  readonly most: number;
  /**
   * A connection that gets no answer for so long is closed, and one that asks nothing; streams say
   * something more often, and so should whoever keeps connections open.
   */
  readonly graceMs: number;
  /** Told of what fails here, of the same thing not more often than every ten seconds. */
  readonly onError: (error: unknown) => void;
}

interface ClientConnection {
  readonly outer: Deno.Conn;
  inner: Deno.TcpConn | undefined;
  /** Whether it ever got an answer; who did not is let go first. */
  answered: boolean;
  /** How much it has sent since the last answer. */
  askedBytes: number;
  /** When it came, began to ask, or was last answered. */
  since: number;
  readonly closed: PromiseWithResolvers<void>;
}

/** Who is told that the connection ends may take so long to hear the rest of the answer. */
const lingerMs = 1_000;

/** No request is so large; `Deno.serve` would go on reading a body that was refused long ago. */
const maxAskedBytes = 1 << 20;

/** How often the server behind is tried, a tenth of a second after each other. */
const connectAttempts = 10;

/** Fewer connections are never taken, however few file descriptors there are. */
const fewest = 4;

const reportAgainMs = 10_000;

/**
 * Stands before `Deno.serve`, which waits for the head of a request for ever, and ends for good
 * when the process has no file descriptors left. Bytes pass through unread. When there are too many
 * connections, the one that waits longest for an answer gives way: one that sends its request
 * slowly or not at all never gets an answer. When file descriptors run out, fewer connections are
 * taken from then on.
 *
 * Listening → stopped → disposed, which closes all connections; those that have ended behind may
 * tell the client first. Requires `--allow-net`.
 */
export class ConnectionLimiter implements AsyncDisposable {
  readonly #options: ConnectionLimiterOptions;
  readonly #listener: Deno.Listener;
  readonly #guests = new Set<ClientConnection>();
  readonly #serving = new Set<Promise<void>>();
  readonly #byPort = new Map<number, ClientConnection>();
  readonly #told = new Map<string, number>();
  readonly #accepting: Promise<void>;
  readonly #timer: ReturnType<typeof setInterval>;
  #most: number;
  #stopped = false;

  constructor(options: ConnectionLimiterOptions) {
    this.#options = options;
    this.#most = options.most;
    const { hostname, port, tls } = options;
    this.#listener = tls === undefined
      ? Deno.listen({ hostname, port })
      : Deno.listenTls({ hostname, port, cert: tls.certificate, key: tls.key });
    this.#accepting = this.#accept();
    this.#timer = setInterval(() => {
      this.#closeSilent();
      this.#most = Math.min(options.most, Math.ceil(this.#most * 1.05)); // room may have come back
    }, options.graceMs / 4);
  }

  /** Where it listens. */
  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  /** How many connections there are. */
  get size(): number {
    return this.#guests.size;
  }

  /**
   * Whose connection it is that came to the server behind from this port; undefined: it did not
   * come through here.
   */
  addressOf(port: number): string | undefined {
    const guest = this.#byPort.get(port);
    return guest === undefined ? undefined : (guest.outer.remoteAddr as Deno.NetAddr).hostname;
  }

  async #accept(): Promise<void> {
    while (!this.#stopped) {
      try {
        this.#welcome(await this.#listener.accept());
      } catch (error) {
        if (this.#stopped) return;
        this.#tell(error);
        if (isOutOfDescriptors(error)) this.makeRoom();
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }

  #welcome(outer: Deno.Conn): void {
    if (this.#guests.size >= this.#most) this.#closeOldest();
    const guest: ClientConnection = {
      outer,
      inner: undefined,
      answered: false,
      askedBytes: 0,
      since: performance.now(),
      closed: Promise.withResolvers(),
    };
    this.#guests.add(guest);
    // who comes and goes in the middle of a word is no error; what fails behind is told where it
    // fails
    const serving: Promise<void> = this.#serve(guest).catch(() => {}).finally(() => {
      this.#close(guest);
      this.#serving.delete(serving);
    });
    this.#serving.add(serving);
  }

  async #serve(guest: ClientConnection): Promise<void> {
    const inner = await this.#connect(guest);
    if (inner === undefined) return;
    const { port } = inner.localAddr as Deno.NetAddr;
    this.#byPort.set(port, guest);
    try {
      const asked = this.#passQuestions(guest, inner);
      asked.catch(() => this.#close(guest)); // the client is gone: the server hears of it
      await this.#passAnswers(guest, inner);
      await guest.outer.closeWrite();
      // closed while bytes of the client are on the way it would be reset, and the client might
      // never read its answer
      await linger(Promise.race([asked, guest.closed.promise]));
    } finally {
      if (this.#byPort.get(port) === guest) this.#byPort.delete(port);
    }
  }

  /** A connection to the server behind; undefined when the guest had to give way meanwhile. */
  async #connect(guest: ClientConnection): Promise<Deno.TcpConn | undefined> {
    let inner: Deno.TcpConn | undefined;
    for (let attempt = 1; inner === undefined && this.#guests.has(guest); attempt++) {
      try {
        inner = await Deno.connect(this.#options.behind());
      } catch (error) {
        if (isOutOfDescriptors(error)) this.makeRoom(guest);
        this.#tell(error);
        if (attempt === connectAttempts) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100)); // it is started again in a moment
      }
    }
    if (!this.#guests.has(guest)) return void inner?.close();
    guest.inner = inner;
    return inner;
  }

  /**
   * Resolves when the client has said all it will say; fails when it is gone, or sends more than
   * any request has.
   */
  async #passQuestions(guest: ClientConnection, inner: Deno.TcpConn): Promise<void> {
    let isHeard = true;
    for await (const bytes of chunksOf(guest.outer)) {
      if (guest.askedBytes === 0) guest.since = performance.now();
      guest.askedBytes += bytes.length;
      if (guest.askedBytes > maxAskedBytes) {
        await linger(guest.closed.promise); // what it was answered may still be on the way
        throw new Error("the request is too large");
      }
      // a server that has heard enough ends its side, and its answer is still to be passed on
      if (isHeard) isHeard = await writeAll(inner, bytes).then(() => true, () => false);
    }
    if (isHeard) await inner.closeWrite().catch(() => {}); // it has ended, and the answer tells how
  }

  /** Resolves when the server has ended the connection; fails when the client is gone. */
  async #passAnswers(guest: ClientConnection, inner: Deno.TcpConn): Promise<void> {
    for await (const bytes of untilBroken(chunksOf(inner))) {
      await writeAll(guest.outer, bytes);
      Object.assign(guest, { answered: true, askedBytes: 0, since: performance.now() });
    }
  }

  /**
   * Takes fewer connections from now on: no file descriptors are left, and the rest of the process
   * needs some as well.
   */
  makeRoom(except?: unknown): void {
    this.#most = Math.max(fewest, Math.min(this.#most, Math.floor(this.#guests.size * 3 / 4)));
    while (this.#guests.size > this.#most && this.#closeOldest(except));
  }

  #closeOldest(except?: unknown): boolean {
    let oldest: ClientConnection | undefined;
    for (const guest of this.#guests) {
      if (guest === except) continue;
      if (oldest === undefined || goesBefore(guest, oldest)) oldest = guest;
    }
    if (oldest !== undefined) this.#close(oldest);
    return oldest !== undefined;
  }

  #closeSilent(): void {
    const before = performance.now() - this.#options.graceMs;
    for (const guest of this.#guests) if (guest.since < before) this.#close(guest);
  }

  #close(guest: ClientConnection): void {
    if (!this.#guests.delete(guest)) return;
    guest.closed.resolve();
    for (const end of [guest.outer, guest.inner]) {
      try {
        end?.close();
      } catch {
        // it is closed already
      }
    }
  }

  #tell(error: unknown): void {
    const text = errorMessage(error);
    const now = performance.now();
    if (now - (this.#told.get(text) ?? -Infinity) < reportAgainMs) return;
    this.#told.set(text, now);
    this.#options.onError(error);
  }

  async #served(): Promise<void> {
    await Promise.all(this.#serving);
  }

  /** Takes no more connections; those that are there go on. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#listener.close();
    await this.#accepting;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    clearInterval(this.#timer);
    // when the server behind has ended, the last bytes of its answers are still here
    await linger(this.#served());
    for (const guest of [...this.#guests]) this.#close(guest);
    await this.#served();
  }
}

/** Who never got an answer goes before who did; then who waits longer. */
function goesBefore(a: ClientConnection, b: ClientConnection): boolean {
  return a.answered === b.answered ? a.since < b.since : !a.answered;
}

/** Waits for a while, or until what was waited for has come. */
async function linger(until: Promise<void>): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, lingerMs);
  try {
    await Promise.race([until, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Whether an error says that the process, or the machine, has no file descriptors left. */
export function isOutOfDescriptors(error: unknown): boolean {
  const { code, message = "" } = error as { readonly code?: unknown; readonly message?: string };
  // what Deno.serve ends with has no code of its own
  return code === "EMFILE" || code === "ENFILE" || /\(os error 2[34]\)$/.test(message);
}

/** What comes in, in one buffer: a chunk is good until the next one is asked for. */
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

/** A server that resets the connection has ended it as well. */
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
