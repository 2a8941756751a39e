import { repeatUntilAborted } from "../../core/internal.ts";
import {
  ConnectionLimiter,
  type ConnectionLimiterOptions,
  isOutOfDescriptors,
} from "./connection_limiter.ts";

/** Settings of {@linkcode HttpServer}. */
export interface HttpServerOptions extends Omit<ConnectionLimiterOptions, "behind"> {
  /** Handles a request from a client address. */
  readonly answer: (request: Request, address: string) => Response | Promise<Response>;
  /** How long responses in progress may take at shutdown. */
  readonly drainMs: number;
}

/**
 * `Deno.serve` on the loopback interface, behind a {@linkcode ConnectionLimiter}. If the server
 * stops, as it does when the process runs out of file descriptors, it is restarted.
 *
 * Listening → stopped, when all requests have been answered → disposed. Requires `--allow-net`.
 */
export class HttpServer implements AsyncDisposable {
  readonly #options: HttpServerOptions;
  readonly #limiter: ConnectionLimiter;
  readonly #ended = new AbortController();
  #stopping: Promise<void> | undefined;
  readonly #running: Promise<void>;
  #server: Deno.HttpServer<Deno.NetAddr>;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    // first, because it throws if the port is in use
    this.#limiter = new ConnectionLimiter({ ...options, behind: () => this.#server.addr });
    this.#server = this.#serve();
    this.#running = this.#keepRunning();
  }

  /** The port it listens on. */
  get port(): number {
    return this.#limiter.port;
  }

  #serve(): Deno.HttpServer<Deno.NetAddr> {
    const { answer, onError } = this.#options;
    return Deno.serve({
      hostname: "127.0.0.1",
      port: 0,
      onListen: () => {}, // only the limiter connects to it
      onError: (error) => {
        onError(error);
        return new Response("", { status: 500 });
      },
    }, (request, { remoteAddr }) => {
      const address = this.#limiter.addressOf(remoteAddr.port);
      return address === undefined ? new Response("", { status: 421 }) : answer(request, address);
    });
  }

  async #keepRunning(): Promise<void> {
    const { signal } = this.#ended;
    await repeatUntilAborted(async (restarts) => {
      try {
        if (restarts > 0) this.#server = this.#serve();
      } catch (error) {
        this.#options.onError(error); // the stopped server is awaited again
      }
      await this.#server.finished.catch((error) => {
        this.#options.onError(error);
        if (isOutOfDescriptors(error)) this.#limiter.makeRoom();
      });
    }, { intervalMs: 100, signal });
  }

  /**
   * Stops accepting connections; resolves when all requests have been answered or took too long.
   */
  stop(): Promise<void> {
    return this.#stopping ??= this.#stop();
  }

  async #stop(): Promise<void> {
    this.#ended.abort();
    await this.#limiter.stop();
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, this.#options.drainMs);
    const ended = this.#server.shutdown().catch(() => {}); // already reported
    await Promise.race([ended.then(() => this.#running), late.promise]);
    clearTimeout(timer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.#limiter[Symbol.asyncDispose]();
  }
}
