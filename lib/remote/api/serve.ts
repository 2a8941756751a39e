import { type Endpoint, SessionPool } from "../../postgres/mod.ts";
import type { AddressGuard } from "../guard/mod.ts";
import { JobQueue, type QueueSettings } from "../queue/mod.ts";
import type { KeyProvider } from "../secrets/mod.ts";
import type { JobCommand } from "../spec/mod.ts";
import { migrate } from "../store/mod.ts";
import { makeApp } from "./app.ts";
import { Authenticator } from "./authenticate.ts";
import { EventHub } from "./event_hub.ts";
import { Front } from "./front.ts";
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
  readonly mostConnections?: number;
  readonly version: string;
  readonly log: (line: RequestLine) => void;
  readonly onError: (error: unknown) => void;
  /** Adds more to the application, such as the page. */
  readonly extend?: (app: ServiceApp, parts: ServiceParts) => void;
}

/** A running instance: listening → disposed, when its requests have been answered and its streams ended. */
export interface Service extends AsyncDisposable {
  /** `http://127.0.0.1:8080` */
  readonly url: string;
  readonly pool: SessionPool;
  readonly queue: JobQueue;
}

/** Each takes three file descriptors, and many systems give a process 1,024. */
const mostConnections = 300;

/** Streams say something every 15 s, and no other answer takes longer. */
const patienceMs = 60_000;

/** Requests that ask the database at once; more wait. */
const poolSize = 10;

/**
 * Brings the service's tables up to date and listens. Any number of instances may run on one database.
 *
 * Requires `--allow-net` for the database, to listen, and to resolve the hosts of jobs.
 */
export async function openService(options: ServiceOptions): Promise<Service> {
  const { database, hostname, port, tls, log, onError } = options;
  await using opened = new AsyncDisposableStack();
  const pool = opened.use(new SessionPool(database, { size: poolSize, values: "native" }));
  await migrate(pool);
  const queue = opened.use(
    await JobQueue.open(database, { settings: options.queueSettings, onError }),
  );
  const hub = opened.use(new EventHub(pool));
  const parts: ServiceParts = {
    ...options,
    pool,
    queue,
    hub,
    authenticator: new Authenticator(pool),
    metrics: new RequestMetrics(),
    log,
  };
  const app = makeApp(parts);
  options.extend?.(app, parts);
  const front: Front = opened.use(
    new Front({
      hostname,
      port,
      tls,
      behind: () => server.addr as Deno.NetAddr,
      most: options.mostConnections ?? mostConnections,
      patienceMs,
      onError,
    }),
  );
  const server: Deno.HttpServer = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    onListen: () => {}, // who opened it tells
    onError: (error) => {
      onError(error);
      return new Response("", { status: 500 });
    },
  }, (request, { remoteAddr }) => {
    const { port: passedOn } = remoteAddr as Deno.NetAddr;
    return app.fetch(request, { address: front.addressOf(passedOn) });
  });
  server.finished.catch(onError);
  // streams end first: the server waits for its answers
  opened.defer(async () => {
    await front.stop();
    const ended = server.shutdown();
    await hub[Symbol.asyncDispose]();
    await ended.catch(() => {}); // told above
  });
  const host = hostname.includes(":") ? `[${hostname}]` : hostname;
  const resources = opened.move();
  return {
    url: `${tls === undefined ? "http" : "https"}://${host}:${front.port}`,
    pool,
    queue,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}
