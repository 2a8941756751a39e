import { type Endpoint, SessionPool } from "../../postgres/internal.ts";
import type { AddressGuard } from "../guard/mod.ts";
import { type JobQueue, openQueue, type QueueSettings } from "../queue/mod.ts";
import type { KeyProvider } from "../secrets/mod.ts";
import type { JobCommand } from "../spec/mod.ts";
import { makeApp } from "./app.ts";
import { Authenticator } from "./authenticate.ts";
import { EventHub } from "./event_hub.ts";
import { HttpServer } from "./http_server.ts";
import { HttpProblem } from "./problem.ts";
import { RequestMetrics } from "./metrics.ts";
import type { ServiceApp } from "./routing.ts";
import type { RequestLine, ServiceParts } from "./service.ts";

/** Settings of an instance of the service. */
export interface ServiceOptions {
  /** The service's own database. */
  readonly database: Endpoint;
  readonly hostname: string;
  /** 0 picks a free port. */
  readonly port: number;
  /** PEM; undefined for plain HTTP, behind a proxy that terminates TLS. */
  readonly tls: { readonly certificate: string; readonly key: string } | undefined;
  readonly keys: KeyProvider;
  readonly guard: AddressGuard;
  readonly commands: readonly JobCommand[];
  readonly queueSettings: QueueSettings;
  readonly defaultTimeoutSeconds: number;
  readonly openMetrics: boolean;
  /** Maximum number of concurrent connections. @default 300 */
  readonly maxConnections?: number;
  readonly version: string;
  readonly log: (line: RequestLine) => void;
  readonly onError: (error: unknown) => void;
  /** Called before each pause, with the reason why the database cannot be used yet. */
  readonly onWait: (error: unknown, delayMs: number) => void;
  /** Adds routes to the application, such as the web page. */
  readonly extend?: (app: ServiceApp, parts: ServiceParts) => void;
}

/**
 * A running instance: listening, while it waits for its database → ready → disposed, when its
 * requests have been answered and its streams closed. Until it is ready, it serves `/healthz` and
 * the web page; other requests get a 503, and `/readyz` gives the reason.
 */
export interface Service extends AsyncDisposable {
  /** `http://127.0.0.1:8080` */
  readonly url: string;
  readonly pool: SessionPool;
  /**
   * Resolves when the database is available and migrated; rejects with a permanent error, such as a
   * rejected password.
   */
  readonly ready: Promise<void>;
}

/** Each takes three file descriptors; many systems allow a process 1024. */
const maxConnections = 300;

/**
 * Streams send data every 15 s, and no other response takes longer. Longer than the idle timeout of
 * most load balancers (60 s).
 */
const graceMs = 75_000;

/**
 * How long responses in progress may take at shutdown: a little longer than a body may take to
 * arrive.
 */
const drainMs = 15_000;

/** Number of requests that can use the database concurrently. */
const poolSize = 10;

/**
 * Listens, waits for the database to become available, and migrates its tables. Any number of
 * instances can share a database.
 *
 * Requires `--allow-net` for the database, to listen, and to resolve the hosts of jobs.
 */
export async function openService(options: ServiceOptions): Promise<Service> {
  const { database, hostname, port, tls, log, onError } = options;
  await using opened = new AsyncDisposableStack();
  const pool = opened.use(new SessionPool(database, { size: poolSize, values: "native" }));
  let queue: JobQueue | undefined;
  const ending = new AbortController();
  // started last: nothing must be undone if the port is in use
  const started: Promise<JobQueue>[] = [];
  opened.defer(async () => {
    ending.abort(new Error("the service was shut down"));
    for (const each of started) {
      const opened = await each.catch(() => undefined); // reported by `ready`
      await opened?.[Symbol.asyncDispose]();
    }
  });
  const hub = opened.use(new EventHub(pool));
  const parts: ServiceParts = {
    ...options,
    pool,
    isReady: () => queue !== undefined,
    get queue() {
      if (queue === undefined) {
        throw new HttpProblem(503, "the service is waiting for its database");
      }
      return queue;
    },
    hub,
    authenticator: new Authenticator(pool),
    metrics: new RequestMetrics(),
    log,
  };
  const app = makeApp(parts);
  options.extend?.(app, parts);
  const server = opened.use(
    new HttpServer({
      hostname,
      port,
      tls,
      maxConnections: options.maxConnections ?? maxConnections,
      graceMs,
      drainMs,
      onError,
      answer: (request, address) => app.fetch(request, { address }),
    }),
  );
  // streams close first, because the server waits for its responses
  opened.defer(async () => {
    const ended = server.stop();
    await hub[Symbol.asyncDispose]();
    await ended;
  });
  const opening = openQueue({
    database,
    pool,
    settings: options.queueSettings,
    signal: ending.signal,
    onError,
    onWait: options.onWait,
  });
  started.push(opening);
  const ready = opening.then((opened) => {
    queue = opened;
  });
  ready.catch(() => {}); // handled by the caller
  const host = hostname.includes(":") ? `[${hostname}]` : hostname;
  const resources = opened.move();
  return {
    url: `${tls === undefined ? "http" : "https"}://${host}:${server.port}`,
    pool,
    ready,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}
