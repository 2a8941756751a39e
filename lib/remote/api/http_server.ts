import { pause } from "../../postgres/internal.ts";
import {
  ConnectionLimiter,
  type ConnectionLimiterOptions,
  isOutOfDescriptors,
} from "./connection_limiter.ts";

/** Where the server listens, and who answers. */
export interface HttpServerOptions extends Omit<ConnectionLimiterOptions, "behind"> {
  /** Answers a request that came from this address. */
  readonly answer: (request: Request, address: string) => Response | Promise<Response>;
  /** Answers that are on their way when the server is told to end may take so long. */
  readonly drainMs: number;
}

/**
 * `Deno.serve` on the loopback interface, and a {@linkcode ConnectionLimiter} before it. A server
 * that ends by itself, as it does when the process has no file descriptors left, is started again.
 *
 * Listening → stopped, when what was asked has been answered → disposed. Requires `--allow-net`.
 */
export class HttpServer implements AsyncDisposable {
  readonly #options: HttpServerOptions;
  readonly #front: ConnectionLimiter;
  readonly #ended = new AbortController();
  #stopping: Promise<void> | undefined;
  readonly #running: Promise<void>;
  #server: Deno.HttpServer<Deno.NetAddr>;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    // first: it throws when the port is taken
    this.#front = new ConnectionLimiter({ ...options, behind: () => this.#server.addr });
    this.#server = this.#serve();
    this.#running = this.#keepRunning();
  }

  /** Where it listens. */
  get port(): number {
    return this.#front.port;
  }

  #serve(): Deno.HttpServer<Deno.NetAddr> {
    const { answer, onError } = this.#options;
    return Deno.serve({
      hostname: "127.0.0.1",
      port: 0,
      onListen: () => {}, // nobody is to come to it but by way of the front
      onError: (error) => {
        onError(error);
        return new Response("", { status: 500 });
      },
    }, (request, { remoteAddr }) => {
      const address = this.#front.addressOf(remoteAddr.port);
      return address === undefined ? new Response("", { status: 421 }) : answer(request, address);
    });
  }

  async #keepRunning(): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      await this.#server.finished.catch((error) => {
        this.#options.onError(error);
        if (isOutOfDescriptors(error)) this.#front.makeRoom();
      });
      if (signal.aborted) return;
      await pause(100, signal).catch(() => {}); // the loop's condition tells
      try {
        if (!signal.aborted) this.#server = this.#serve();
      } catch (error) {
        this.#options.onError(error); // the one that has ended is looked at once more
      }
    }
  }

  /**
   * Takes no more connections, and resolves when what was asked has been answered or took too long.
   */
  stop(): Promise<void> {
    return this.#stopping ??= this.#stop();
  }

  async #stop(): Promise<void> {
    this.#ended.abort();
    await this.#front.stop();
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, this.#options.drainMs);
    const ended = this.#server.shutdown().catch(() => {}); // what failed was told
    await Promise.race([ended.then(() => this.#running), late.promise]);
    clearTimeout(timer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.#front[Symbol.asyncDispose]();
  }
}
