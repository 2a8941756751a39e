import { type Endpoint, SessionPool } from "../../postgres/mod.ts";
import type { AddressGuard } from "../guard/mod.ts";
import { JobQueue, type QueueSettings } from "../queue/mod.ts";
import type { KeyProvider } from "../secrets/mod.ts";
import type { JobCommand } from "../spec/mod.ts";
import { migrate } from "../store/mod.ts";
import { makeApp } from "./app.ts";
import { Authenticator } from "./authenticate.ts";
import { EventHub } from "./event_hub.ts";
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
  const server = Deno.serve({
    hostname,
    port,
    ...(tls === undefined ? {} : { cert: tls.certificate, key: tls.key }),
    onListen: () => {}, // who opened it tells
    onError: (error) => {
      onError(error);
      return new Response("", { status: 500 });
    },
  }, (request, { remoteAddr }) => app.fetch(request, { address: addressOf(remoteAddr) }));
  // streams end first: the server waits for its answers
  opened.defer(async () => {
    const ended = server.shutdown();
    await hub[Symbol.asyncDispose]();
    await ended;
  });
  const host = hostname.includes(":") ? `[${hostname}]` : hostname;
  const resources = opened.move();
  return {
    url: `${tls === undefined ? "http" : "https"}://${host}:${(server.addr as Deno.NetAddr).port}`,
    pool,
    queue,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

function addressOf(address: Deno.Addr): string | undefined {
  return address.transport === "tcp" ? address.hostname : undefined;
}
