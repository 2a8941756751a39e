/** Where a front listens, and for whom. */
export interface FrontOptions {
  readonly hostname: string;
  readonly port: number;
  readonly tls: { readonly certificate: string; readonly key: string } | undefined;
  /** The server behind, on this machine. */
  readonly behind: () => { readonly hostname: string; readonly port: number };
  /** Connections at once. */
  readonly most: number;
  /** A connection that gets no answer for so long is closed; streams say something more often. */
  readonly patienceMs: number;
  readonly onError: (error: unknown) => void;
}

interface Guest {
  readonly ends: Deno.Conn[];
  /** Whether it ever got an answer; who did not is let go first. */
  answered: boolean;
  /** When it got the last one, or came. */
  answeredAt: number;
}

/**
 * Stands before `Deno.serve`, which waits for the head of a request for ever, and ends for good when the process has no file
 * descriptors left. Bytes pass through unread. When there are too many connections, the one that waits longest for an answer gives
 * way: one that sends its request slowly or not at all never gets an answer.
 *
 * Listening → stopped → disposed, which closes all connections. Requires `--allow-net`.
 */
export class Front implements AsyncDisposable {
  readonly #options: FrontOptions;
  readonly #listener: Deno.Listener;
  readonly #guests = new Set<Guest>();
  readonly #addresses = new Map<number, string>();
  readonly #accepting: Promise<void>;
  readonly #timer: ReturnType<typeof setInterval>;
  #stopped = false;

  constructor(options: FrontOptions) {
    this.#options = options;
    const { hostname, port, tls } = options;
    this.#listener = tls === undefined
      ? Deno.listen({ hostname, port })
      : Deno.listenTls({ hostname, port, cert: tls.certificate, key: tls.key });
    this.#accepting = this.#accept();
    this.#timer = setInterval(() => this.#closeSilent(), options.patienceMs / 4);
  }

  /** Where it listens. */
  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  /** Whose connection it is that came to the server behind from this port. */
  addressOf(port: number): string | undefined {
    return this.#addresses.get(port);
  }

  async #accept(): Promise<void> {
    while (!this.#stopped) {
      try {
        const connection = await this.#listener.accept();
        this.#serve(connection).catch(() => {}); // a connection that ended in some way
      } catch (error) {
        if (this.#stopped) return;
        // no file descriptor is left, or a handshake failed
        this.#options.onError(error);
        this.#closeOldest();
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }

  async #serve(outer: Deno.Conn): Promise<void> {
    if (this.#guests.size >= this.#options.most) this.#closeOldest();
    const guest: Guest = { ends: [outer], answered: false, answeredAt: performance.now() };
    this.#guests.add(guest);
    let port: number | undefined;
    try {
      const inner = await Deno.connect(this.#options.behind());
      guest.ends.push(inner);
      if (!this.#guests.has(guest)) return inner.close(); // it had to give way meanwhile
      port = (inner.localAddr as Deno.NetAddr).port;
      this.#addresses.set(port, (outer.remoteAddr as Deno.NetAddr).hostname);
      await Promise.race([
        pass(outer, inner, () => {}).then(async () => {
          await inner.closeWrite();
          await new Promise(() => {}); // the answer may still be on its way
        }),
        pass(inner, outer, () => {
          guest.answered = true;
          guest.answeredAt = performance.now();
        }),
      ]);
    } finally {
      if (port !== undefined) this.#addresses.delete(port);
      this.#close(guest);
    }
  }

  #closeOldest(): void {
    let oldest: Guest | undefined;
    for (const guest of this.#guests) {
      if (oldest === undefined || goesBefore(guest, oldest)) oldest = guest;
    }
    if (oldest !== undefined) this.#close(oldest);
  }

  #closeSilent(): void {
    const before = performance.now() - this.#options.patienceMs;
    for (const guest of this.#guests) if (guest.answeredAt < before) this.#close(guest);
  }

  #close(guest: Guest): void {
    if (!this.#guests.delete(guest)) return;
    for (const end of guest.ends) {
      try {
        end.close();
      } catch {
        // it is closed already
      }
    }
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
    for (const guest of [...this.#guests]) this.#close(guest);
  }
}

function goesBefore(a: Guest, b: Guest): boolean {
  return a.answered === b.answered ? a.answeredAt < b.answeredAt : !a.answered;
}

/** Passes bytes on until `from` ends; waits for who reads slowly. */
async function pass(from: Deno.Conn, to: Deno.Conn, passed: () => void): Promise<void> {
  const buffer = new Uint8Array(16 * 1024);
  for (let read = await from.read(buffer); read !== null; read = await from.read(buffer)) {
    let sent = 0;
    while (sent < read) sent += await to.write(buffer.subarray(sent, read));
    passed();
  }
}
