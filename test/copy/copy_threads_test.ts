/** Copy workers in threads: they copy, fail and end like those of the main thread. */
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import {
  type CopyProgress,
  copyTables,
  type CopyTablesOptions,
  CopyThreads,
  copyThreadsFor,
  copyWorkersHere,
  exportLockedSnapshot,
  ignoreCopyProgress,
  planCopy,
} from "../../lib/copy/internal.ts";
import { InterruptedError } from "../../lib/core/internal.ts";
import {
  type Endpoint,
  endpointFromMessage,
  endpointToMessage,
  type LockWait,
  openSession,
  passwordFor,
  resolveEndpoint,
  ServerError,
  SnapshotLostError,
} from "../../lib/postgres/internal.ts";
import { CertificateAuthority } from "../support/certificates.ts";
import { tempRoot } from "../../lib/cluster/cache.ts";
import { sharedCluster } from "../support/clusters.ts";
import { withDatabase } from "../support/databases.ts";
import { endpointOf } from "../support/init.ts";
import { startProxy } from "../support/proxy.ts";
import { until } from "../support/replication.ts";
import { exec, query, withSession } from "../support/sql.ts";
import { planOptions, quietWorker } from "../support/copy.ts";
import { waitUntil } from "../support/wait.ts";

const authority = await CertificateAuthority.create();
const cluster = await sharedCluster(16, {
  // Deno grants nothing below /dev but everything
  dataRoot: tempRoot(),
  tls: await authority.server(),
  password: "it's a:s\\ecret@é",
  hba: ["local all all trust", "host all all 127.0.0.1/32 scram-sha-256"],
});

const tables = Array.from({ length: 40 }, (_, index) => `t${index}`);
const make = [...tables, "big"].map((name) => `CREATE TABLE ${name} (i int, t text)`).join("; ");
const fill = [
  ...tables.map((name, index) =>
    `INSERT INTO ${name} SELECT i, repeat('x', ${index}) FROM generate_series(1, ${index * 30}) i`
  ),
  "INSERT INTO big SELECT i, repeat('y', 400) FROM generate_series(1, 40000) i",
].join("; ");
const facts =
  [...tables, "big"].map((name) =>
    `SELECT '${name}' AS name, count(*)::int AS n, md5(string_agg(i || t, ',' ORDER BY i)) FROM ${name}`
  ).join(" UNION ALL ") + " ORDER BY 1";

interface Pair {
  readonly source: string;
  readonly target: string;
}

/** Two databases: one with rows, one with empty tables. */
async function withPair(use: (pair: Pair) => Promise<void>): Promise<void> {
  await withDatabase(cluster, undefined, async (from) => {
    await withDatabase(cluster, undefined, async (to) => {
      await exec(from.url, `${make}; ${fill}`);
      await exec(to.url, make);
      await use({ source: from.url, target: to.url });
      // a backend takes a moment to notice that its client is gone
      for (const { url } of [from, to]) {
        await until(url, `SELECT NOT EXISTS (${sessionsOfTool}) AS ok`);
      }
    });
  });
}

const sessionsOfTool = `SELECT FROM pg_stat_activity
  WHERE application_name = 'postgres-seren-replicator' AND datname = current_database()`;

async function copyInThreads(
  { source, target }: Pair,
  { whileHeld, progress, splitBytes = 4 * 1024 * 1024, ...options }:
    & Partial<Omit<CopyTablesOptions, "progress">>
    & {
      readonly whileHeld?: (pid: number) => Promise<void>;
      readonly splitBytes?: number;
      readonly progress?: Partial<CopyProgress>;
    } = {},
) {
  const signal = options.signal ?? new AbortController().signal;
  const from = await endpointOf(source, "source");
  const to = await endpointOf(target, "target");
  const locked = await exportLockedSnapshot(from, { signal, select: undefined });
  await using _held = locked.snapshot;
  await whileHeld?.(locked.snapshot.session.processId);
  const plan = planOptions({
    splitBytes,
    jobs: 5,
    workers: copyWorkersHere({ threads: 2 }),
  });
  return await copyTables({
    source: from,
    target: to,
    targetSettings: {},
    snapshot: locked.snapshot,
    parts: planCopy(locked.tables, plan),
    encoding: plan.encoding,
    settings: plan.settings,
    signal,
    events: () => {},
    pace: undefined,
    record: undefined,
    ...options,
    progress: { ...ignoreCopyProgress, ...progress },
  });
}

Deno.test("threads copy the same rows as the main thread, plain and over TLS", async () => {
  for (const sslmode of ["disable", "require"]) {
    await withPair(async ({ source, target }) => {
      const secure = (url: string) => `${url}?sslmode=${sslmode}`;
      let idle = 0;
      const copied = await copyInThreads({ source: secure(source), target: secure(target) }, {
        progress: { onIdle: () => idle++ },
      });
      strictEqual(copied.length, 41);
      strictEqual(idle, 5);
      deepStrictEqual(await query(target, facts), await query(source, facts));
    });
  }
});

Deno.test("a thread may be limited to the two servers, by TCP and by Unix socket", async () => {
  await withPair(async ({ source, target }) => {
    const place = new URL(source);
    const socket = `postgresql://postgres@/${place.pathname.slice(1)}?host=${
      encodeURIComponent(cluster.socketDir)
    }&port=${cluster.port}`;
    const from = await endpointOf(socket, "source");
    const to = await endpointOf(target, "target");
    using threads = await CopyThreads.start({
      source: from,
      target: to,
      threads: 1,
      limited: true,
    });
    ok(threads !== undefined);
    const locked = await exportLockedSnapshot(from, {
      signal: new AbortController().signal,
      select: undefined,
    });
    await using held = locked.snapshot;
    const copyTo = (endpoint: Endpoint) => {
      const jobs = [{
        name: "big",
        copyOut: "COPY public.big TO STDOUT",
        copyIn: "COPY public.big FROM STDIN",
        expectedBytes: 0,
      }];
      return threads.runCopyWorker(1, {
        source: from,
        target: endpoint,
        snapshot: held.identifier,
        signal: new AbortController().signal,
        ...quietWorker,
        next: () => jobs.shift(),
        onFinished: () => {},
      });
    };
    await copyTo(to);
    strictEqual((await query(target, "SELECT FROM big")).length, 40_000);
    const elsewhere = { ...to, hosts: to.hosts.map((host) => ({ ...host, port: host.port - 1 })) };
    await rejects(copyTo(elsewhere), /net access/);
  });
});

Deno.test("an error in one thread ends the workers of all, and names the table and the line", async () => {
  await withPair(async (pair) => {
    await exec(pair.target, "ALTER TABLE big ADD CHECK (i <> 39000)");
    await rejects(
      copyInThreads(pair),
      (error) =>
        error instanceof ServerError && error.sqlState === "23514" && error.side === "target" &&
        /big/.test(error.object ?? "") && error.details.some((line) => /line \d+/.test(line)),
    );
  });
});

Deno.test("an error of a callback ends the workers too", async () => {
  await withPair(async (pair) => {
    await rejects(
      copyInThreads(pair, {
        progress: {
          onCopied: () => {
            throw new Error("the callback failed");
          },
        },
      }),
      /the callback failed/,
    );
  });
});

Deno.test("threads report a lost snapshot as such", async () => {
  await withPair(async (pair) => {
    await rejects(
      copyInThreads(pair, {
        whileHeld: async (pid) => {
          await query(pair.source, "SELECT pg_terminate_backend($1, 5000)", [pid]);
        },
      }),
      SnapshotLostError,
    );
  });
});

Deno.test("aborting ends threads during a copy; they read nothing from the source while the target reads nothing", async () => {
  await withPair(async (pair) => {
    await using proxy = await startProxy(cluster, { stallAfterBytes: 10_000_000 });
    await exec(
      pair.source,
      "INSERT INTO big SELECT i, repeat('z', 2000) FROM generate_series(1, 90000) i",
    );
    const abort = new AbortController();
    let taken = 0;
    const copying = copyInThreads({ ...pair, target: proxy.url(pair.target) }, {
      signal: abort.signal,
      splitBytes: Infinity, // the network's buffers could take parts whole
      events: (event) => {
        if (event.kind === "table-progress" && event.table === "big") taken = event.bytes;
      },
    });
    copying.catch(() => {});
    const waiting = `${sessionsOfTool} AND wait_event = 'ClientWrite'`;
    await waitUntil(
      "the source waits",
      async () => (await query(pair.source, waiting)).length > 0,
      { during: copying },
    );
    ok(taken < 100_000_000, `${taken} bytes were taken of 180 MB`);
    abort.abort(new InterruptedError());
    await proxy.cut();
    await rejects(copying, InterruptedError);
  });
});

/** Copies `big` by a worker in a thread. */
async function copyBig(
  { from, to, threads }: {
    readonly from: Endpoint;
    readonly to: Endpoint;
    readonly threads: CopyThreads;
  },
  pace?: (bytes: number) => Promise<void>,
): Promise<void> {
  const signal = new AbortController().signal;
  await using locked = (await exportLockedSnapshot(from, { signal, select: undefined })).snapshot;
  const copyOut = "COPY public.big TO STDOUT";
  const jobs = [{ name: "big", copyOut, copyIn: "COPY public.big FROM STDIN", expectedBytes: 0 }];
  await threads.runCopyWorker(0, {
    ...{ source: from, target: to, snapshot: locked.identifier, signal, ...quietWorker },
    ...(pace === undefined ? {} : { pace }),
    next: () => jobs.shift(),
    onFinished: () => {},
  });
}

Deno.test("a lock that a thread's session waits for is reported with its holder, and when it is over", async () => {
  await withPair(async ({ source, target }) => {
    const reported = Promise.withResolvers<LockWait>();
    let over = 0;
    const from = await endpointOf(source, "source");
    const to: Endpoint = {
      ...await endpointOf(target, "target"),
      onLockWait: (wait) => wait.kind === "waiting" ? reported.resolve(wait) : over++,
    };
    using threads = await CopyThreads.start({ source: from, target: to, threads: 1 });
    await withSession(target, async (other) => {
      const [row] = await other.unsafe<{ pid: number }[]>("SELECT pg_backend_pid() AS pid");
      await other.unsafe("BEGIN; LOCK TABLE big").simple();
      const copying = copyBig({ from, to, threads: threads! });
      const { object, side, blockers } = await reported.promise;
      deepStrictEqual([object, side, blockers.map(({ processId }) => processId)], [
        "table public.big",
        "target",
        [row!.pid],
      ]);
      await other.unsafe("COMMIT").simple();
      await copying;
      strictEqual(over, 1);
    });
  });
});

Deno.test("sessions of threads and of the main thread that wait for one another are not reported", async () => {
  await withPair(async ({ source, target }) => {
    await exec(target, "CREATE TABLE theirs (i int)");
    const objects: string[] = [];
    let reported = Promise.withResolvers<void>();
    const from = await endpointOf(source, "source");
    const to: Endpoint = {
      ...await endpointOf(target, "target"),
      onLockWait: ({ kind, object }) => {
        if (kind !== "waiting") return;
        objects.push(object);
        reported.resolve();
      },
    };
    using threads = await CopyThreads.start({ source: from, target: to, threads: 1 });
    /**
     * Resolves when two consecutive waits have been reported, so earlier waits have been checked.
     */
    const othersWait = async () => {
      await using third = await openSession(to);
      await using fourth = await openSession(to);
      await withSession(target, async (other) => {
        await other.unsafe("BEGIN; LOCK TABLE theirs").simple();
        const waiting: Promise<void>[] = [];
        for (const session of [third, fourth]) {
          reported = Promise.withResolvers<void>();
          waiting.push(session.execute("BEGIN; LOCK TABLE public.theirs; COMMIT"));
          await reported.promise;
        }
        await other.unsafe("COMMIT").simple();
        await Promise.all(waiting);
      });
    };
    const locks = (granted: boolean, mode: string) =>
      `SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'big'::regclass
                         AND granted = ${granted} AND mode = '${mode}') AS ok`;
    await using main = await openSession(to);
    await main.execute("BEGIN; LOCK TABLE public.big");
    const gate = Promise.withResolvers<void>();
    const copying = copyBig({ from, to, threads: threads! }, () => gate.promise);
    await until(target, locks(false, "RowExclusiveLock"));
    await othersWait();
    await main.execute("COMMIT");

    await until(target, locks(true, "RowExclusiveLock"));
    const waiting = main.execute("BEGIN; LOCK TABLE public.big; COMMIT");
    await until(target, locks(false, "AccessExclusiveLock"));
    await othersWait();
    gate.resolve();
    await Promise.all([copying, waiting]);
    deepStrictEqual(objects, Array(4).fill("table public.theirs"));
  });
});

Deno.test("without permission to read the thread's module no thread starts, and nothing prompts", async () => {
  const url = new URL("../../lib/copy/worker_threads.ts", import.meta.url);
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["eval", "--quiet", `--config=${new URL("../../deno.json", import.meta.url).pathname}`],
      `import { CopyThreads } from ${JSON.stringify(url.href)};
       Deno.permissions.revokeSync({ name: "read" });
       console.log(await CopyThreads.start({ threads: 1 }) === undefined);`,
    ],
  }).output();
  const text = new TextDecoder();
  strictEqual(text.decode(stderr), "");
  strictEqual(code, 0);
  match(text.decode(stdout), /true/);
});

Deno.test("an endpoint can be sent to a thread, with the passwords that it needs and no others", async () => {
  const endpoint = await resolveEndpoint("postgresql://me@one,two:5433/db?sslmode=require", {
    side: "source",
    resolveEnvironment: {
      environment: { PGPASSFILE: "/pass" },
      readFile: () => Promise.resolve("two:5433:*:me:right\nother:*:*:*:wrong\n"),
    },
  });
  const message = structuredClone(endpointToMessage(endpoint));
  ok(!JSON.stringify(message).includes("wrong"));
  const arrived = endpointFromMessage(message);
  for (const place of endpoint.hosts) {
    strictEqual(passwordFor(arrived, place)?.reveal(), passwordFor(endpoint, place)?.reveal());
  }
  strictEqual(passwordFor(arrived, { host: "two", port: 5433 })?.reveal(), "right");
});

Deno.test("copyThreadsFor() uses threads for many encrypted sessions on many cores", async () => {
  const plain = await endpointOf("postgresql://a@h/d?sslmode=disable", "source");
  const tls = await endpointOf("postgresql://a@h/d?sslmode=require", "target");
  strictEqual(copyThreadsFor({ endpoints: [plain, plain], jobs: 64, cpuCount: 64 }), 0);
  strictEqual(copyThreadsFor({ endpoints: [plain, tls], jobs: 8, cpuCount: 16 }), 0);
  strictEqual(copyThreadsFor({ endpoints: [plain, tls], jobs: 24, cpuCount: 16 }), 3);
  strictEqual(copyThreadsFor({ endpoints: [plain, tls], jobs: 24, cpuCount: 2 }), 0);
});
