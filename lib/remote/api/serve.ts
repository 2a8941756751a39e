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

/** How an instance of the service is opened. */
export interface ServiceOptions {
  /** The service's own database. */
  readonly database: Endpoint;
  readonly hostname: string;
  /** 0 takes any free one. */
  readonly port: number;
  /** PEM; without it the service speaks plain HTTP, for a proxy that does TLS. */
  readonly tls: { readonly certificate: string; readonly key: string } | undefined;
  readonly keys: KeyProvider;
  readonly guard: AddressGuard;
  readonly commands: readonly JobCommand[];
  readonly queueSettings: QueueSettings;
  readonly defaultTimeoutSeconds: number;
  readonly openMetrics: boolean;
  /** Connections at once, 300 if not given. */
  readonly maxConnections?: number;
  readonly version: string;
  readonly log: (line: RequestLine) => void;
  readonly onError: (error: unknown) => void;
  /** Told before each pause, why the database cannot be used yet. */
  readonly onWait: (error: unknown, delayMs: number) => void;
  /** Adds more to the application, such as the page. */
  readonly extend?: (app: ServiceApp, parts: ServiceParts) => void;
}

/**
 * A running instance: listening, while its database is waited for → ready → disposed, when its
 * requests have been answered and its streams ended. Until it is ready it answers `/healthz` and
 * the page; all else gets a 503, and `/readyz` says why.
 */
export interface Service extends AsyncDisposable {
  /** `http://127.0.0.1:8080` */
  readonly url: string;
  readonly pool: SessionPool;
  /**
   * Resolves when the database is there and up to date; rejects with what does not pass by itself,
   * such as a refused password.
   */
  readonly ready: Promise<void>;
}

/** Each takes three file descriptors, and many systems give a process 1,024. */
const maxConnections = 300;

/**
 * Streams say something every 15 s, and no other answer takes longer; more than balancers keep
 * their idle connections, which is mostly 60 s.
 */
const graceMs = 75_000;

/**
 * Answers under way when the service ends may take so long: a little more than a body may take to
 * arrive.
 */
const drainMs = 15_000;

/** Requests that ask the database at once; more wait. */
const poolSize = 10;

/**
 * Listens, waits for the database where it is not there yet, and brings its tables up to date. Any
 * number of instances may run on one database.
 *
 * Requires `--allow-net` for the database, to listen, and to resolve the hosts of jobs.
 */
export async function openService(options: ServiceOptions): Promise<Service> {
  const { database, hostname, port, tls, log, onError } = options;
  await using opened = new AsyncDisposableStack();
  const pool = opened.use(new SessionPool(database, { size: poolSize, values: "native" }));
  let queue: JobQueue | undefined;
  const ending = new AbortController();
  // begun last: nothing is to be undone here when the port is taken
  const begun: Promise<JobQueue>[] = [];
  opened.defer(async () => {
    ending.abort(new Error("the service was ended"));
    for (const each of begun) {
      const given = await each.catch(() => undefined); // told by `ready`
      await given?.[Symbol.asyncDispose]();
    }
  });
  const hub = opened.use(new EventHub(pool));
  const parts: ServiceParts = {
    ...options,
    pool,
    isReady: () => queue !== undefined,
    get queue() {
      if (queue === undefined) throw new HttpProblem(503, "the service waits for its database");
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
      most: options.maxConnections ?? maxConnections,
      graceMs,
      drainMs,
      onError,
      answer: (request, address) => app.fetch(request, { address }),
    }),
  );
  // streams end first: the server waits for its answers
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
  begun.push(opening);
  const ready = opening.then((opened) => {
    queue = opened;
  });
  ready.catch(() => {}); // who opened it looks at it
  const host = hostname.includes(":") ? `[${hostname}]` : hostname;
  const resources = opened.move();
  return {
    url: `${tls === undefined ? "http" : "https"}://${host}:${server.port}`,
    pool,
    ready,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}
