/**
 * One job on workers that share only the network: each in its own network namespace, if those can
 * be created.
 */
import { deepStrictEqual, match, ok } from "node:assert/strict";
import { LocalKeyProvider } from "../../lib/remote/secrets/mod.ts";
import { sharedCluster } from "../support/clusters.ts";
import { dropDatabase, withDatabase } from "../support/databases.ts";
import { makeHosts } from "../support/hosts.ts";
import { isLong } from "../support/long.ts";
import { until } from "../support/replication.ts";
import { Running } from "../support/running.ts";
import { finished, openTestService, serviceTemplate, type TestKey } from "../support/service.ts";
import {
  hasClaimed,
  helperOf,
  isCopied,
  logOf,
  partsOfHelpers,
  sharedShop,
} from "../support/shared_copy.ts";
import { exec, query } from "../support/sql.ts";

const network = await makeHosts(3);
Deno.test.afterAll(async () => await network[Symbol.asyncDispose]());
const isReal = network.kind === "namespaces";
if (!isReal) {
  console.warn(
    `workers on ${network.listen.join(", ")}, without network namespaces: ${network.reason}`,
  );
}

const reach = {
  hba: ["127.0.0.0/8", network.network].flatMap((from) => [
    `host all all ${from} trust`,
    `host replication all ${from} trust`,
  ]).concat("local all all trust"),
  settings: {
    listen_addresses: ["127.0.0.1", ...network.listen].join(","),
    autovacuum: "off",
    // how long a server keeps sessions of a disconnected client
    tcp_keepalives_idle: "5",
    tcp_keepalives_interval: "1",
    tcp_keepalives_count: "3",
  },
};
const source = await sharedCluster(16, reach);
const target = await sharedCluster(17, reach);
const template = await serviceTemplate(target);

/** A URL with the address at which a host reaches its server. */
function from(address: string, url: string): string {
  return url.replace("127.0.0.1", address);
}

/** Enough rows that no worker finishes its first claim before the last worker joins. */
const more =
  "INSERT INTO big SELECT i, repeat(md5(i::text), 30) FROM generate_series(12001, 48000) AS i;";

interface Place {
  readonly key: TestKey;
  readonly name: string;
  readonly service: Awaited<ReturnType<typeof openTestService>>;
  /** Workers `w0`, `w1`, `w2`, each on its own host. */
  readonly workers: Readonly<Record<string, Running>>;
  /** Submits a copy by all three. */
  readonly submit: () => Promise<string>;
}

let count = 0;

async function withWorkers(use: (place: Place) => Promise<void>): Promise<void> {
  const name = `network_${Deno.pid}_${++count}`;
  const folder = await Deno.makeTempDir();
  await exec(source.url(), `CREATE DATABASE "${name}" TEMPLATE template0`);
  await exec(source.url({ database: name }), `${sharedShop} ${more}`);
  try {
    await withDatabase(target, template, async ({ url }) => {
      const keys = await LocalKeyProvider.create(`${folder}/keys`);
      await using service = await openTestService(url, { keys, allow: [network.network] });
      const key = await service.key("alice", { limits: { most_running: 20 } });
      await using stack = new AsyncDisposableStack();
      const workers: Record<string, Running> = {};
      for (const [index, { gateway, through }] of network.hosts.entries()) {
        workers[`w${index}`] = stack.use(
          new Running(
            [
              ...["worker", "--name", `w${index}`, "--key-file", `${folder}/keys`],
              ...["--allow-address", network.network, "--heartbeat", "10", "--log-format", "json"],
            ],
            { SEREN_DATABASE_URL: from(gateway, url) },
            { through },
          ),
        );
      }
      await Promise.all(Object.values(workers).map((each) => each.says(/accepting jobs/)));
      await use({
        ...{ key, name, service, workers },
        submit: async () => {
          const gateway = network.hosts[0]!.gateway;
          const response = await key.request("/v1/jobs", {
            json: {
              schema_version: "1.0",
              command: "init",
              source_url: from(gateway, source.url()),
              target_url: from(gateway, target.url()),
              filters: { include_databases: [name] },
              rules: { table_filters: [{ table: "big", where: "pg_sleep(0.001) IS NOT NULL" }] },
              options: { workers: 3, jobs: 2, split_bytes: 1 << 20 },
            },
          });
          const body = await response.json();
          deepStrictEqual(response.status, 201, JSON.stringify(body));
          return body.id;
        },
      });
    });
  } finally {
    await dropDatabase(source, name);
    await dropDatabase(target, name);
    await Deno.remove(folder, { recursive: true });
  }
}

/** Resolves when three addresses are connected to each server at once. */
async function allTakePart(name: string): Promise<void> {
  if (!isReal) return;
  for (const url of [source.url(), target.url()]) {
    await until(
      url,
      `SELECT count(DISTINCT client_addr) = 3 AS ok FROM pg_stat_activity
        WHERE datname = '${name}' AND client_addr << '${network.network}'`,
    );
  }
}

/** Waits until all three workers take part; returns the names of the two helpers. */
async function helpersOf({ key, workers, service }: Place, id: string): Promise<string[]> {
  await helperOf(key, id);
  const { worker: leader } = await (await key.request(`/v1/jobs/${id}`)).json();
  const helpers = Object.keys(workers).filter((each) => each !== leader);
  for (const helper of helpers) await hasClaimed(service, helper);
  return helpers;
}

/** Repeats a test of parallel_copy_test.ts on separate hosts. */
Deno.test(
  "three workers on separate hosts share a copy; one is killed during it, and both sides are equal",
  { ignore: !isLong },
  async () => {
    await withWorkers(async (place) => {
      const { key, name, service, workers, submit } = place;
      const id = await submit();
      const [killed = ""] = await helpersOf(place, id);
      await allTakePart(name);
      await workers[killed]!.kill("SIGKILL");
      const job = await finished(key, id);
      deepStrictEqual([job.state, job.attempt], ["succeeded", 1], JSON.stringify(job.error));
      match(await logOf(key, id), new RegExp(`worker ${killed}: did not report for 10 s`));
      await isCopied({ source, target }, name);
      ok(await partsOfHelpers(service, id) > 0);
    });
  },
);

Deno.test({
  name: "a disconnected worker loses its parts to others, and copies nothing twice when it is back",
  ignore: !isReal,
  async fn() {
    await withWorkers(async (place) => {
      const { key, name, workers, submit, service } = place;
      const id = await submit();
      const [cut = ""] = await helpersOf(place, id);
      await allTakePart(name);
      const host = network.hosts[Number(cut.slice(1))]!;
      await host.connect(false);
      try {
        const job = await finished(key, id);
        deepStrictEqual([job.state, job.attempt], ["succeeded", 1], JSON.stringify(job.error));
        match(await logOf(key, id), new RegExp(`worker ${cut}: did not report for 10 s`));
        await isCopied({ source, target }, name);
      } finally {
        await host.connect(true);
      }
      // it notices that it has lost its job, and claims another
      await workers[cut]!.says(/lost|cannot be reached|is available again/);
      for (const other of Object.keys(workers).filter((each) => each !== cut)) {
        await workers[other]!.kill("SIGTERM");
      }
      const next = await key.request("/v1/jobs", {
        json: {
          schema_version: "1.0",
          command: "validate",
          source_url: from(host.gateway, source.url()),
          target_url: from(host.gateway, target.url()),
          filters: { include_databases: ["postgres"] },
        },
      });
      const { id: nextId } = await next.json();
      deepStrictEqual((await finished(key, nextId)).worker, cut);
      await isCopied({ source, target }, name);
      deepStrictEqual(await query(service.databaseUrl, "SELECT FROM seren_remote.copies"), []);
    });
  },
});
