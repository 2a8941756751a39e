import { join } from "node:path";
import { type Cluster, startCluster } from "../../lib/cluster/mod.ts";
import { freePort } from "../../lib/cluster/free_port.ts";
import { LocalKeyProvider } from "../../lib/remote/secrets/mod.ts";
import { runCli } from "../support/cli.ts";
import { exec, query } from "../support/sql.ts";
import { pause } from "./attacks.ts";
import type { Client } from "./clients.ts";
import { cpuSeconds, postmasterOf } from "./cpu.ts";
import { Supervised } from "./fleet.ts";
import { initEvery, type LoadOptions, rows } from "./options.ts";

/** Three servers, the service's processes, and its users. */
export class Stage implements AsyncDisposable {
  /** Where the processes write their logs. */
  readonly folder: string;
  readonly source: Cluster;
  readonly target: Cluster;
  /** The service's database. */
  readonly database: Cluster;
  readonly ports: readonly number[];
  readonly serves: readonly Supervised[];
  readonly workers: Supervised[] = [];
  readonly #resources: AsyncDisposableStack;
  readonly #options: LoadOptions;
  readonly #common: readonly string[];
  #cpuBeforeRestarts = 0;

  private constructor(
    options: LoadOptions,
    { folder, resources, source, target, database }:
      & Pick<Stage, "folder" | "source" | "target" | "database">
      & { readonly resources: AsyncDisposableStack },
  ) {
    this.#options = options;
    this.#resources = resources;
    this.folder = folder;
    this.source = source;
    this.target = target;
    this.database = database;
    this.#common = [
      ...["--key-file", join(folder, "keys"), "--allow-address", "127.0.0.0/8"],
      ...["--heartbeat", "10"],
    ];
    this.ports = Array.from({ length: options.instances }, () => freePort());
    this.serves = this.ports.map((port, index) =>
      this.#start(`serve-${index}`, ["serve", "--listen", `127.0.0.1:${port}`])
    );
  }

  static async open(options: LoadOptions): Promise<Stage> {
    await using opened = new AsyncDisposableStack();
    // their logs show which sessions connected, and how often each database was created
    const source = opened.use(
      await startCluster({
        major: 16,
        settings: { log_connections: "on", log_line_prefix: "%m [%p] ", autovacuum: "off" },
      }),
    );
    const target = opened.use(
      await startCluster({ major: 17, settings: { log_statement: "ddl", autovacuum: "off" } }),
    );
    // it is crashed on purpose, and must then have everything that it has confirmed
    const database = opened.use(
      await startCluster({
        major: 17,
        settings: { max_connections: "300", fsync: "on", synchronous_commit: "on" },
      }),
    );
    await exec(source.url(), "CREATE DATABASE app");
    // no key, so that duplicate rows are not rejected
    await exec(
      source.url({ database: "app" }),
      `CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, ${rows})`,
    );
    const folder = await Deno.makeTempDir();
    await LocalKeyProvider.create(join(folder, "keys"));
    return new Stage(options, { folder, source, target, database, resources: opened.move() });
  }

  get instances(): readonly string[] {
    return this.ports.map((port) => `http://127.0.0.1:${port}`);
  }

  #start(name: string, args: readonly string[]): Supervised {
    return this.#resources.use(
      new Supervised(name, {
        args: [...args, ...this.#common],
        env: { SEREN_DATABASE_URL: this.database.url() },
        logFile: join(this.folder, `${name}.log`),
      }),
    );
  }

  /** Starts workers to replace those that were drained. */
  startWorkers(piece: number): readonly Supervised[] {
    const { workers, concurrency } = this.#options;
    const started = Array.from(
      { length: workers },
      (_, index) =>
        this.#start(`worker-${index}.${piece}`, [
          ...["worker", "--name", `w${index}.${piece}`, "--concurrency", String(concurrency)],
        ]),
    );
    this.workers.push(...started);
    return started;
  }

  async untilReady(): Promise<void> {
    const patience = AbortSignal.timeout(60_000);
    for (const url of this.instances) {
      while (true) {
        const response = await fetch(`${url}/readyz`).catch(() => undefined);
        await response?.body?.cancel();
        if (response?.ok) break;
        await pause(200, patience);
        patience.throwIfAborted();
      }
    }
  }

  /** Creates an admin key. */
  async adminKey(): Promise<string> {
    const { stdout } = await runCli(["keys", "create", "--owner", "ops", "--scopes", "admin"], {
      env: { SEREN_DATABASE_URL: this.database.url() },
    });
    return stdout.trim();
  }

  /**
   * Creates users, each with a key that has the default concurrency limits.
   */
  async makeClients(admin: string): Promise<readonly Client[]> {
    const clients: Client[] = [];
    for (let index = 0; index < this.#options.keys; index++) {
      const made = await fetch(`${this.instances[0]}/v1/keys`, {
        method: "POST",
        headers: { "x-api-key": admin, "content-type": "application/json" },
        body: JSON.stringify({
          owner: `user-${index}`,
          name: "load",
          scopes: ["jobs:read", "jobs:write"],
          limits: {
            most_queued: this.#options.jobs + 1,
            requests_per_second: 100,
            request_burst: 200,
          },
        }),
      });
      clients.push({ name: `user-${index}`, key: (await made.json()).key, jobs: new Map() });
    }
    return clients;
  }

  /** The job's specification; its number identifies it in the servers' logs. */
  specOf(number: number): unknown {
    const isInit = number % initEvery === 0;
    return {
      schema_version: "1.0",
      command: isInit ? "init" : "validate",
      source_url: `${this.source.url({ database: "app" })}?application_name=load-${number}`,
      target_url: this.target.url(),
      filters: {
        include_databases: ["app"],
        ...(isInit ? { map: { app: `app_${number}` } } : {}),
      },
      options: { jobs: 1 },
    };
  }

  /** How many jobs have ended; undefined while the database is unavailable. */
  async countEnded(): Promise<number | undefined> {
    const rows = await query<{ over: number }>(
      this.database.url(),
      "SELECT count(*)::int AS over FROM seren_remote.jobs WHERE finished_at IS NOT NULL",
    ).catch(() => []);
    return rows[0]?.over;
  }

  /**
   * Stops the service's database, cleanly (`fast`) or as in a crash (`immediate`), and restarts it.
   */
  async restartDatabase(mode: "fast" | "immediate"): Promise<void> {
    this.#cpuBeforeRestarts += await cpuOfServer(this.database);
    await this.database.stop(mode);
    await new Promise((resolve) => setTimeout(resolve, 2_000)); // unavailable for a while
    await this.database.start();
  }

  /** CPU seconds so far, by component. */
  async cpu(): Promise<Readonly<Record<string, number>>> {
    const of = (list: readonly Supervised[]) =>
      list.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0);
    return {
      instances: of(this.serves),
      workers: of(this.workers),
      "service's database": this.#cpuBeforeRestarts + await cpuOfServer(this.database),
      source: await cpuOfServer(this.source),
      target: await cpuOfServer(this.target),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

async function cpuOfServer(cluster: Cluster): Promise<number> {
  const [row] = await query<{ data_directory: string }>(cluster.url(), "SHOW data_directory");
  return await cpuSeconds(await postmasterOf(row!.data_directory));
}
