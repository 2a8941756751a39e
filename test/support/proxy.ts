import net from "node:net";
import { once } from "node:events";

/** Maximum number of bytes delayed in one direction. */
const DELAYED_BYTES = 4 * 1024 * 1024;

/** Options of {@linkcode Proxy}, which can be changed while it runs. */
export interface ProxyOptions {
  /** Added to each direction. Default: 0. */
  latencyMs?: number;
  /** Limit of each connection's direction, in bytes per second. Default: none. */
  bytesPerSecond?: number;
  /** Bytes forwarded to the server after which it stalls by itself. Default: none. */
  stallAfterBytes?: number;
}

/** One side of a proxied connection. */
interface Address {
  readonly host: string;
  readonly port: number;
}

/** A proxied connection. */
interface Passage {
  /** Whether further bytes are discarded. */
  swallows: boolean;
}

/**
 * A TCP proxy that can delay, stall or reset connections. States: forwarding ⇄ stalled → disposed.
 */
export class Proxy implements AsyncDisposable {
  readonly host = "127.0.0.1";
  /** Bytes forwarded to the server so far. */
  bytesUp = 0;
  /** Bytes forwarded to clients so far. */
  bytesDown = 0;
  /** Connections accepted so far. */
  connections = 0;
  latencyMs: number;
  bytesPerSecond: number;
  readonly #stallAfterBytes: number;
  readonly #server: net.Server;
  readonly #target: Address;
  readonly #sockets = new Set<net.Socket>();
  readonly #pipes = new Set<Promise<void>>();
  readonly #passages = new Set<Passage>();
  readonly #wake = new EventTarget();
  #stalled = false;
  #disposed = false;

  /** Use {@linkcode startProxy}. */
  constructor(target: Address, options: ProxyOptions) {
    this.#target = target;
    this.latencyMs = options.latencyMs ?? 0;
    this.bytesPerSecond = options.bytesPerSecond ?? Infinity;
    this.#stallAfterBytes = options.stallAfterBytes ?? Infinity;
    this.#server = net.createServer({ allowHalfOpen: true }, (client) => this.#accept(client));
  }

  /** Starts to accept. */
  async listen(): Promise<void> {
    this.#server.listen(0, this.host);
    await once(this.#server, "listening");
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  /** The same URL through this proxy. */
  url(serverUrl: string): string {
    const url = new URL(serverUrl);
    url.host = `${this.host}:${this.port}`;
    return url.href;
  }

  /**
   * Resets all connections (TCP RST on both sides) and waits until they are closed. Accepts new
   * ones.
   */
  async cut(): Promise<void> {
    for (const socket of this.#sockets) socket.resetAndDestroy();
    this.#wake.dispatchEvent(new Event("change"));
    await Promise.all(this.#pipes);
  }

  /**
   * Stops forwarding without closing any connection. Accepts new ones, which receive nothing.
   */
  stall(): void {
    this.#stalled = true;
  }

  /**
   * Discards further bytes of the existing connections, which stay open; new ones work.
   */
  swallow(): void {
    for (const passage of this.#passages) passage.swallows = true;
  }

  /** Ends {@linkcode Proxy.stall}. */
  resume(): void {
    this.#stalled = false;
    this.#wake.dispatchEvent(new Event("change"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    const closed = once(this.#server, "close");
    this.#server.close();
    await this.cut();
    await closed;
  }

  #accept(client: net.Socket): void {
    this.connections++;
    const { host, port } = this.#target;
    const server = net.connect({ host, port, allowHalfOpen: true });
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => {});
      socket.on("close", () => this.#sockets.delete(socket));
    }
    const passage: Passage = { swallows: false };
    this.#passages.add(passage);
    const pipe = Promise.all([
      this.#forward(client, server, { passage, count: (bytes) => this.#countUp(bytes) }),
      this.#forward(server, client, { passage, count: (bytes) => this.bytesDown += bytes }),
    ]).then(async () => {
      this.#passages.delete(passage);
      for (const socket of [client, server]) {
        if (!socket.destroyed) socket.destroy();
        if (!socket.closed) await once(socket, "close");
      }
    });
    this.#pipes.add(pipe);
    pipe.finally(() => this.#pipes.delete(pipe));
  }

  #countUp(bytes: number): void {
    const before = this.bytesUp;
    this.bytesUp += bytes;
    // exactly once: it can be resumed
    if (before < this.#stallAfterBytes && this.bytesUp >= this.#stallAfterBytes) this.stall();
  }

  /** Forwards one direction until its end; an error on either side resets both. */
  async #forward(
    from: net.Socket,
    to: net.Socket,
    { passage, count }: { readonly passage: Passage; readonly count: (bytes: number) => void },
  ): Promise<void> {
    const queue = new DelayQueue(DELAYED_BYTES);
    const reading = (async () => {
      try {
        for await (const chunk of from as AsyncIterable<Uint8Array>) {
          await queue.push(chunk, this.latencyMs);
        }
      } catch {
        if (!passage.swallows) to.resetAndDestroy();
      } finally {
        queue.end();
      }
    })();
    // a loop aborts its stream at the end, while chunks may still be on their way
    const isBroken = () => from.errored !== null && from.errored.name !== "AbortError";
    const isOpen = () => !to.destroyed && !isBroken();
    for await (const chunk of queue) {
      while (this.#stalled && isOpen()) await once(this.#wake, "change");
      if (!isOpen()) break;
      if (this.bytesPerSecond !== Infinity) {
        await sleep(1000 * chunk.length / this.bytesPerSecond);
      }
      if (!isOpen()) break;
      if (passage.swallows) continue;
      count(chunk.length);
      if (!to.write(chunk)) {
        await Promise.race([once(to, "drain"), once(to, "close")]).catch(() => {});
      }
    }
    // neither side notices that the other has ended
    while (passage.swallows && !to.destroyed) await once(this.#wake, "change");
    queue.drop();
    if (isOpen()) to.end();
    else {
      // an error after the end of the stream does not end a loop, but the other side must still be
      // notified
      if (!to.destroyed) to.destroy();
      from.resetAndDestroy();
    }
    await reading;
  }
}

/**
 * Starts a proxy in front of a server.
 *
 * Requires `--allow-net=127.0.0.1` and the server's host.
 */
export async function startProxy(target: Address, options: ProxyOptions = {}): Promise<Proxy> {
  const proxy = new Proxy(target, options);
  await proxy.listen();
  return proxy;
}

/**
 * A queue that releases chunks in order after a delay; writers wait while it is full.
 */
class DelayQueue {
  readonly #limit: number;
  #chunks: { bytes: Uint8Array; due: number }[] = [];
  #size = 0;
  #ended = false;
  #dropped = false;
  #changed = Promise.withResolvers<void>();

  constructor(limitBytes: number) {
    this.#limit = limitBytes;
  }

  async push(bytes: Uint8Array, delayMs: number): Promise<void> {
    while (this.#size >= this.#limit && !this.#dropped) await this.#changed.promise;
    if (this.#dropped) return;
    this.#chunks.push({ bytes, due: performance.now() + delayMs });
    this.#size += bytes.length;
    this.#change();
  }

  end(): void {
    this.#ended = true;
    this.#change();
  }

  /** Discards its contents and accepts no more. */
  drop(): void {
    this.#dropped = true;
    this.#chunks = [];
    this.#change();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    while (true) {
      const next = this.#chunks.shift();
      if (next) {
        const wait = next.due - performance.now();
        if (wait > 0) await sleep(wait);
        yield next.bytes;
        this.#size -= next.bytes.length;
        this.#change();
      } else if (this.#ended) {
        return;
      } else {
        await this.#changed.promise;
      }
    }
  }

  #change(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
