/**
 * One job on several workers: no row is lost or repeated, whichever of them is killed.
 */
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { Ledger } from "../../../lib/checkpoint/internal.ts";
import type { Cluster } from "../../../lib/cluster/mod.ts";
import { jobRunners } from "../../../lib/commands/job_runners/job_runners.ts";
import { ExitCode, ignoreEvents, ReplicatorError } from "../../../lib/core/internal.ts";
import { resolveEndpoint } from "../../../lib/postgres/internal.ts";
import { LocalKeyProvider } from "../../../lib/remote/secrets/mod.ts";
import type { JobRunners } from "../../../lib/remote/worker/mod.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { dropDatabase, withDatabase } from "../../support/databases.ts";
import { until } from "../../support/replication.ts";
import { Running } from "../../support/running.ts";
import {
  finished,
  openTestService,
  serviceTemplate,
  startTestWorker,
  type TestKey,
  type TestService,
} from "../../support/service.ts";
import {
  hasClaimed,
  helperOf,
  isCopied,
  logOf,
  partsOfHelpers,
  sharedShop,
} from "../../support/shared_copy.ts";
import { exec, query } from "../../support/sql.ts";
import { startTestCluster } from "../../support/test_cluster.ts";

// the source is idle, so a new coordinator reads an equivalent snapshot
const source = await sharedCluster(16, { settings: { autovacuum: "off" } });
const target = await sharedCluster(17);
const template = await serviceTemplate(target);
const sides = { source, target };

interface Place {
  readonly service: TestService;
  readonly key: TestKey;
  readonly folder: string;
  /** Submits a copy of the shop by several workers; each row of the large table takes a while. */
  readonly submit: (change?: Submission) => Promise<string>;
  /** Starts a worker in a separate process. */
  readonly worker: (name: string, queue: string) => Running;
}

interface Submission {
  readonly workers?: number;
  /**
   * Whether to hand over to replication. The copy is then slowed by a rate limit instead of a
   * condition.
   */
  readonly sync?: boolean;
  readonly bytes?: number;
  readonly name?: string;
}

/** The runners of a real worker. */
const runners: JobRunners = jobRunners({
  jobs: 2,
  splitBytes: 1 << 20,
  maxDiffs: 10,
  slotTimeoutMs: 60_000,
  now: () => new Date(),
});

let count = 0;

async function withPlace(
  use: (place: Place, names: readonly string[]) => Promise<void>,
  { databases = 1, queue }: {
    readonly databases?: number;
    /** A server that has only the service's database. */
    readonly queue?: Cluster;
  } = {},
): Promise<void> {
  const withQueue = async (work: (database: { readonly url: string }) => Promise<void>) =>
    queue === undefined
      ? await withDatabase(target, template, work)
      : await work({ url: queue.url() });
  const names = Array.from({ length: databases }, () => `workers_${Deno.pid}_${++count}`);
  const folder = await Deno.makeTempDir();
  for (const name of names) {
    await exec(source.url(), `CREATE DATABASE "${name}" TEMPLATE template0`);
    await exec(source.url({ database: name }), sharedShop);
  }
  try {
    await withQueue(async ({ url }) => {
      const keys = await LocalKeyProvider.create(`${folder}/keys`);
      await using service = await openTestService(url, { keys });
      const key = await service.key("alice", { limits: { most_running: 20 } });
      await use({
        service,
        key,
        folder,
        worker: (name, queue) =>
          new Running([
            ...["worker", "--name", name, "--queues", queue, "--key-file", `${folder}/keys`],
            ...["--allow-address", "127.0.0.0/8", "--heartbeat", "10", "--log-format", "json"],
          ], { SEREN_DATABASE_URL: url }),
        submit: async ({ workers = 3, bytes = 1, name = names[0]!, sync = false } = {}) => {
          const response = await key.request("/v1/jobs", {
            json: {
              schema_version: "1.0",
              command: "init",
              source_url: source.url(),
              target_url: target.url(),
              filters: { include_databases: [name] },
              rules: sync
                ? {}
                : { table_filters: [{ table: "big", where: "pg_sleep(0.001) IS NOT NULL" }] },
              estimated_bytes: bytes,
              options: {
                workers,
                jobs: 2,
                split_bytes: 1 << 20,
                ...(sync
                  ? { enable_sync: true, replica_identity: "full", max_bytes_per_second: 3 << 19 }
                  : {}),
              },
            },
          });
          const body = await response.json();
          strictEqual(response.status, 201, JSON.stringify(body));
          return body.id;
        },
      }, names);
    });
  } finally {
    for (const name of names) {
      await dropDatabase(source, name);
      await dropDatabase(target, name);
    }
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("three workers share a copy; killing a helper or the coordinator loses and repeats no row", async () => {
  await withPlace(async (place, [first = "", second = ""]) => {
    const { submit, service, key, worker } = place;
    const running = {
      a: worker("a", "small"),
      b: worker("b", "small"),
      c: worker("c", "small"),
      d: worker("d", "medium"),
      e: worker("e", "medium"),
    };
    await using _stack = stackOf(Object.values(running));
    await Promise.all(Object.values(running).map((each) => each.says(/accepting jobs/)));

    const helperDies = async () => {
      const id = await submit({ name: first });
      const helper = await helperOf(key, id) as keyof typeof running;
      await hasClaimed(service, helper);
      await running[helper].kill("SIGKILL");
      const job = await finished(key, id);
      deepStrictEqual([job.state, job.attempt], ["succeeded", 1], JSON.stringify(job.error));
      match(
        await logOf(key, id),
        /did not report for 10 s; [1-9]\d* parts? it had claimed/,
      );
      await isCopied(sides, first);
      ok(await partsOfHelpers(service, id) > 0);
    };

    const leaderDies = async () => {
      const id = await submit({ name: second, workers: 2, bytes: 20 * 1024 ** 3 });
      const helper = await helperOf(key, id);
      await hasClaimed(service, helper);
      const { worker } = await (await key.request(`/v1/jobs/${id}`)).json();
      await running[worker as keyof typeof running].kill("SIGKILL");
      const job = await finished(key, id);
      deepStrictEqual(
        [job.state, job.attempt, job.worker],
        ["succeeded", 2, helper],
        JSON.stringify(job.error),
      );
      await isCopied(sides, second);
    };

    await Promise.all([helperDies(), leaderDies()]);
    deepStrictEqual(await query(service.databaseUrl, "SELECT FROM seren_remote.copies"), []);
    deepStrictEqual(await query(service.databaseUrl, "SELECT FROM seren_remote.job_secrets"), []);
  }, { databases: 2 });
});

Deno.test("workers share a copy in the snapshot of a replication slot, and replication continues from it", async () => {
  await withPlace(async (place, [name = ""]) => {
    const { service, key, submit } = place;
    await using _one = await startTestWorker(service, runners, { concurrency: 1 });
    await using _two = await startTestWorker(service, runners, { concurrency: 1 });
    const url = { source: source.url({ database: name }), target: target.url({ database: name }) };
    const id = await submit({ workers: 2, sync: true });
    await helperOf(key, id);
    await exec(url.source, "UPDATE big SET note = 'changed' WHERE id % 100 = 0");
    const job = await finished(key, id);
    deepStrictEqual([job.state, job.attempt], ["succeeded", 1], JSON.stringify(job.error));
    try {
      await exec(url.source, "INSERT INTO big VALUES (-1, 'last')");
      await until(url.target, "SELECT EXISTS (SELECT FROM big WHERE id = -1) AS ok");
      await isCopied(sides, name);
      ok(await partsOfHelpers(service, id) > 0);
    } finally {
      const [subscription] = await query(
        url.target,
        "SELECT subname AS name FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
      );
      if (subscription !== undefined) {
        await exec(url.target, `DROP SUBSCRIPTION "${subscription["name"]}"`);
      }
    }
  });
});

Deno.test("a worker lost between the end of its copy and the end of the job leaves nothing to copy", async () => {
  await withPlace(async ({ service, key, submit }, [name = ""]) => {
    let runs = 0;
    await using _worker = await startTestWorker(service, {
      init: async (job, context) => {
        const outcome = await runners.init!(job, context);
        if (++runs > 1) return outcome;
        throw new ReplicatorError("the network is down", { exitCode: ExitCode.targetUnreachable });
      },
    });
    const id = await submit({ workers: 1 });
    const job = await finished(key, id);
    deepStrictEqual([job.state, job.attempt], ["succeeded", 2], JSON.stringify(job.error));
    await isCopied(sides, name);
    const [copy] = await query(
      target.url({ database: name }),
      "SELECT count(DISTINCT xmin::text)::int AS transactions FROM small_1",
    );
    strictEqual(copy?.["transactions"], 1);
    deepStrictEqual(
      await query(service.databaseUrl, "SELECT FROM seren_remote.job_checkpoints"),
      [],
    );
  });
});

Deno.test("parts read under a coordinator that has been replaced are rejected with their rows", async () => {
  await withDatabase(target, undefined, async ({ url }) => {
    await exec(url, "CREATE TABLE t (id int)");
    const endpoint = await resolveEndpoint(url, { side: "target" });
    const open = () =>
      Ledger.open(endpoint, {
        signal: new AbortController().signal,
        expects: undefined,
        events: ignoreEvents,
        earlier: undefined,
        run: {
          run: "r",
          tool: "test",
          source: { database: "a", databaseOid: 1 },
          scope: { databases: {}, fingerprint: "", now: "2026-01-01T00:00:00Z", sync: false },
          dumpTool: "none",
          decisions: {},
        },
      });
    const part = (number: number) => ({
      table: { schema: "public", name: "t" },
      part: number,
      parts: 3,
    });
    let record: (number: number) => string;
    {
      await using first = await open();
      record = (number) =>
        `BEGIN; INSERT INTO t VALUES (${number}); ${
          first.partRecord(1).statement(part(number))
        }; COMMIT`;
      await exec(url, record(0));
      await rejects(exec(url, record(0)), /seren_ledger_part_done/);
    }
    // there is no newer coordinator yet, so the part has the same snapshot
    await exec(url, record(1));
    await using second = await open();
    strictEqual(second.state.tables[0]?.parts.length, 2);
    await rejects(exec(url, record(2)), /null value in column "holder"/);
    deepStrictEqual(await query(url, "SELECT id FROM t ORDER BY id"), [{ id: 0 }, { id: 1 }]);
  });
});

Deno.test("cancelling a job ends its helpers", async () => {
  await withPlace(async ({ service, key, submit }, [name = ""]) => {
    await using _one = await startTestWorker(service, runners, { concurrency: 1 });
    await using _two = await startTestWorker(service, runners, { concurrency: 1 });
    const id = await submit({ workers: 2 });
    const helper = await helperOf(key, id);
    await hasClaimed(service, helper);
    const [child] = await query<{ id: string }>(
      service.databaseUrl,
      `SELECT id FROM seren_remote.jobs WHERE parent_id = '${id}'`,
    );
    // helpers are part of their job: they are not listed, and not counted
    const { jobs } = await (await key.request("/v1/jobs")).json();
    deepStrictEqual(jobs.map((job: { id: string }) => job.id), [id]);
    await (await key.request(`/v1/jobs/${id}/cancel`, { method: "POST" })).body?.cancel();
    const job = await finished(key, id);
    strictEqual(job.state, "cancelled");
    const end = await finished(key, child!.id);
    ok(["succeeded", "cancelled"].includes(String(end.state)));
    deepStrictEqual(
      await query(
        target.url(),
        `SELECT query FROM pg_stat_activity WHERE datname = '${name}'`,
      ),
      [],
    );
    for (const table of ["copies", "copy_parts", "copy_members", "job_secrets"]) {
      deepStrictEqual(await query(service.databaseUrl, `SELECT FROM seren_remote.${table}`), []);
    }
  });
});

Deno.test("a shared copy survives an outage of the service's database within the same attempt", async () => {
  const settings = { fsync: "on", synchronous_commit: "on" };
  await using queue = await startTestCluster({ major: 17, settings });
  await withPlace(async ({ service, key, submit }, [name = ""]) => {
    await using _one = await startTestWorker(service, runners, { concurrency: 1 });
    await using _two = await startTestWorker(service, runners, { concurrency: 1 });
    const id = await submit({ workers: 2 });
    await hasClaimed(service, await helperOf(key, id));
    await queue.kill("SIGKILL");
    await queue.start();
    const job = await finished(key, id);
    deepStrictEqual([job.state, job.attempt], ["succeeded", 1], JSON.stringify(job.error));
    await isCopied(sides, name);
    ok(await partsOfHelpers(service, id) > 0);
  }, { queue });
});

function stackOf(running: readonly Running[]): AsyncDisposableStack {
  const stack = new AsyncDisposableStack();
  for (const each of running) stack.use(each);
  return stack;
}
