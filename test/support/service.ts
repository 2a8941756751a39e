import type { Cluster } from "../../lib/cluster/mod.ts";
import { createTemplate } from "./databases.ts";
import { jobCommands } from "../../lib/remote/mod.ts";
import {
  createKey,
  openService,
  type Service,
  type ServiceOptions,
} from "../../lib/remote/api/mod.ts";
import { AddressGuard, readAllowList } from "../../lib/remote/guard/mod.ts";
import type { KeyScope } from "../../lib/remote/keys/mod.ts";
import {
  defaultQueueSettings,
  JobQueue,
  queueNames,
  type QueueSettings,
} from "../../lib/remote/queue/mod.ts";
import { type KeyProvider, LocalKeyProvider } from "../../lib/remote/secrets/mod.ts";
import { type JobRunners, Worker, type WorkerOptions } from "../../lib/remote/worker/mod.ts";
import { resolveEndpoint, SessionPool } from "../../lib/postgres/internal.ts";
import type { RequestLine } from "../../lib/remote/api/service.ts";
import { query } from "./sql.ts";

/** Detects lost workers as early as pg-boss allows. */
export const quickQueue: QueueSettings = {
  ...defaultQueueSettings,
  heartbeatSeconds: 10,
  retryDelaySeconds: 1,
  superviseSeconds: 1,
};

/** Settings of a test service. */
export interface TestServiceOptions {
  readonly allow?: readonly string[];
  readonly keys?: KeyProvider;
  readonly onLine?: (line: RequestLine) => void;
  /** Extends each instance, for example with the web page. */
  readonly extend?: ServiceOptions["extend"];
  /** The port of the first instance; a free one by default. */
  readonly port?: number;
  readonly queueSettings?: QueueSettings;
}

/** A service for one test, on its own database. */
export interface TestService extends AsyncDisposable {
  readonly service: Service;
  readonly databaseUrl: string;
  readonly keys: KeyProvider;
  /** Creates a key for a user. */
  key(
    owner: string,
    options?: { scopes?: readonly KeyScope[]; limits?: Record<string, number> },
  ): Promise<TestKey>;
  /** Opens another instance on the same database. */
  another(port?: number): Promise<Service>;
}

/** An API key, and requests made with it. */
export interface TestKey {
  readonly id: string;
  readonly key: string;
  /** Sends a request to the first instance, or to the one at `base`. */
  request(path: string, init?: RequestInit & { base?: string; json?: unknown }): Promise<Response>;
}

/** Opens a service on an existing, empty database. */
export async function openTestService(
  databaseUrl: string,
  { allow = ["127.0.0.0/8"], keys, onLine = () => {}, extend, port = 0, ...options }:
    TestServiceOptions = {},
): Promise<TestService> {
  const folder = await Deno.makeTempDir();
  const provider = keys ?? await LocalKeyProvider.create(`${folder}/keys`);
  const database = await resolveEndpoint(databaseUrl, { side: "target" });
  const open = async (port = 0) => {
    const service = await openService({
      database,
      hostname: "127.0.0.1",
      port,
      tls: undefined,
      keys: provider,
      guard: new AddressGuard(readAllowList(allow).allow),
      commands: jobCommands,
      queueSettings: options.queueSettings ?? quickQueue,
      defaultTimeoutSeconds: 600,
      openMetrics: false,
      version: "test",
      log: onLine,
      ...(extend === undefined ? {} : { extend }),
      onError: () => {},
      onWait: () => {},
    });
    await service.ready;
    return service;
  };
  const service = await open(port);
  return {
    service,
    databaseUrl,
    keys: provider,
    another: open,
    async key(owner, { scopes = ["jobs:read", "jobs:write"] as readonly KeyScope[], limits } = {}) {
      const { row, key } = await service.pool.transaction((session) =>
        createKey(session, {
          owner,
          name: "test",
          scopes: [...scopes],
          limits: { requests_per_second: 1000, request_burst: 1000, ...limits },
        }, { actor: "test" })
      );
      return {
        id: row.id,
        key,
        request: (path, { base = service.url, json, ...init } = {}) =>
          fetch(`${base}${path}`, {
            ...(json === undefined ? {} : { method: "POST", body: JSON.stringify(json) }),
            ...init,
            headers: {
              "x-api-key": key,
              ...(json === undefined ? {} : { "content-type": "application/json" }),
              ...init.headers,
            },
          }),
      };
    },
    async [Symbol.asyncDispose]() {
      await service[Symbol.asyncDispose]();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

/** A valid job whose servers are on this machine. */
export function jobSpec(change: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    schema_version: "1.0",
    command: "validate",
    source_url: "postgresql://u:planted-source-secret@127.0.0.1:1/a",
    target_url: "postgresql://u:planted-target-secret@127.0.0.1:1/b",
    ...change,
  };
}

/** Lets the queue notice at once that the worker of a running job is lost. */
export async function expireLeases({ databaseUrl }: Pick<TestService, "databaseUrl">) {
  await query(
    databaseUrl,
    "UPDATE seren_remote_queue.job SET heartbeat_on = heartbeat_on - interval '1 hour' WHERE state = 'active'",
  );
}

/** A worker in this process; disposal ends it and its jobs. */
export async function startTestWorker(
  { databaseUrl, keys }: Pick<TestService, "databaseUrl" | "keys">,
  runners: JobRunners,
  { queueSettings = quickQueue, ...options }: Partial<WorkerOptions> & {
    readonly queueSettings?: QueueSettings;
  } = {},
): Promise<AsyncDisposable & { readonly end: () => Promise<void>; readonly notices: string[] }> {
  const database = await resolveEndpoint(databaseUrl, { side: "target" });
  const folder = await Deno.makeTempDir();
  const pool = new SessionPool(database, { size: 6, values: "native" });
  const queue = await JobQueue.open(database, { settings: queueSettings, onError: () => {} });
  const notices: string[] = [];
  const stop = new AbortController();
  const running = new Worker({
    name: `test-${crypto.randomUUID()}`,
    pool,
    queue,
    keys,
    guard: new AddressGuard(readAllowList(["127.0.0.0/8"]).allow),
    runners,
    workspaceRoot: folder,
    checkEveryMs: 50,
    graceMs: 5_000,
    queues: queueNames,
    concurrency: 4,
    maxRunning: 1000,
    pollMs: 50,
    drainMs: 0,
    retention: { jobDays: 90, logDays: 30 },
    maintenanceEveryMs: 10_000,
    notice: ({ message }) => void notices.push(message),
    ...options,
  }).run(stop.signal);
  let ended: Promise<void> | undefined;
  const end = () =>
    ended ??= (async () => {
      stop.abort();
      await running;
      await queue[Symbol.asyncDispose]();
      await pool[Symbol.asyncDispose]();
      await Deno.remove(folder, { recursive: true });
    })();
  return { end, notices, [Symbol.asyncDispose]: end };
}

/** Reads events of a stream until `enough` returns true. */
export async function readStream(
  response: Response,
  enough: (
    event: { id: number | undefined; event: string; data: Record<string, unknown> },
  ) => boolean,
): Promise<{ id: number | undefined; event: string; data: Record<string, unknown> }[]> {
  const events: { id: number | undefined; event: string; data: Record<string, unknown> }[] = [];
  let text = "";
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const blocks = text.split("\n\n");
    text = blocks.pop()!;
    for (const block of blocks) {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(block)?.[1];
      if (field("event") === undefined) continue;
      const id = field("id");
      const event = {
        id: id === undefined ? undefined : Number(id),
        event: field("event")!,
        data: JSON.parse(field("data")!),
      };
      events.push(event);
      if (enough(event)) return events;
    }
  }
  return events;
}

/** Waits for the end of a job's event stream, and returns the job. */
export async function finished(key: TestKey, id: string): Promise<Record<string, unknown>> {
  await readStream(await key.request(`/v1/jobs/${id}/events`), ({ event }) => event === "end");
  return await (await key.request(`/v1/jobs/${id}`)).json();
}

/**
 * Creates a template database with the service's tables, to copy for each test of a file: migrating
 * takes a second.
 */
export async function serviceTemplate(cluster: Cluster): Promise<string> {
  const name = await createTemplate(cluster, "service_template", "SELECT 1");
  await using _service = await openTestService(cluster.url({ database: name }));
  return name;
}
