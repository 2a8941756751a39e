/**
 * `deno task bench apply`: how fast the tool applies changes that have piled up, against a
 * subscription of the target's own server.
 *
 * @module
 */
import { renderTable } from "../../lib/ui/table.ts";
import { type Cluster, startCluster } from "../../lib/cluster/mod.ts";
import { denoEnvironment } from "../support/cli.ts";
import { createClientStream, endClientStream } from "../support/client_stream.ts";
import { compareRows, drain } from "../support/replicated.ts";
import { endReplication, replicate } from "../support/replication.ts";
import { exec, query } from "../support/sql.ts";
import { SlowLink } from "./link.ts";
import type { BenchOptions } from "./options.ts";
import { cpuSecondsOfTree, peakBytesOf } from "./processes.ts";
import { ratios, spread } from "./statistics.ts";

const schema = `
  CREATE TABLE item (id bigint PRIMARY KEY, name text, n int, at timestamptz, amount numeric(12, 2));
  CREATE TABLE account (id int PRIMARY KEY, branch int, balance int, filler char(84));
  CREATE TABLE branch (id int PRIMARY KEY, balance int, filler char(88));
  CREATE TABLE history (account int, branch int, delta int, at timestamptz, filler char(22));`;

const fill = `
  INSERT INTO item SELECT n, 'name ' || n, n % 100, timestamptz '2026-01-01 00:00+00' + n * interval '1 s', n / 7.0
    FROM generate_series(1, 100000) AS n;
  INSERT INTO account SELECT n, 1 + n % 10, 0, '' FROM generate_series(1, 100000) AS n;
  INSERT INTO branch SELECT n, 0, '' FROM generate_series(1, 10) AS n;`;

/** A load that piles up before it is applied. */
interface Load {
  readonly name: string;
  readonly what: string;
  /** Scripts that run at the same time. */
  readonly scripts: (scale: number) => readonly string[];
  /** The maximum time, as a ratio to the subscription's. */
  readonly bar: number;
  /** Each way, to the target. */
  readonly latencyMs?: number;
}

const each = (count: number, script: (session: number) => string) =>
  Array.from({ length: count }, (_, session) => script(session));

const loads: readonly Load[] = [
  {
    name: "one-row",
    what: "transactions of one insertion",
    scripts: (scale) =>
      each(4, (session) =>
        `DO $$ BEGIN FOR i IN 1..${40 * scale} LOOP
           INSERT INTO item VALUES (1000000 + ${session} * 1000000 + i, 'x', 1, now(), 2.5); COMMIT;
         END LOOP; END $$`),
    bar: 1 / 2,
  },
  {
    name: "insert",
    what: "one large transaction of insertions",
    scripts: (scale) => [
      `INSERT INTO item SELECT 10000000 + n, 'name ' || n, n % 100, now(), n / 7.0
         FROM generate_series(1, ${4000 * scale}) AS n`,
    ],
    bar: 1,
  },
  {
    name: "update",
    what: "one large transaction of updates by key",
    scripts: (scale) => [
      `UPDATE item SET n = n + 1, amount = amount + 1 WHERE id <= ${1000 * scale}`,
    ],
    bar: 1 / 1.5,
  },
  {
    name: "mix",
    what: "transactions like pgbench's",
    scripts: (scale) =>
      each(4, (session) =>
        `DO $$ DECLARE a int; BEGIN FOR i IN 1..${20 * scale} LOOP
           a := 1 + ${session} * 25000 + (random() * 24998)::int;
           UPDATE account SET balance = balance + i WHERE id = a;
           UPDATE branch SET balance = balance + i WHERE id = ${session} + 1;
           INSERT INTO history VALUES (a, ${session} + 1, i, now(), ''); COMMIT;
         END LOOP; END $$`),
    bar: 1,
  },
];

/** One measured run. */
interface Run {
  readonly seconds: number;
  /** Of the process that applies; undefined for the server's own worker. */
  readonly clientCpu: number | undefined;
  readonly targetCpu: number;
  readonly peakBytes: number | undefined;
}

/** Returns lines for the terminal. */
export async function benchApply({ options, report }: {
  readonly options: Pick<BenchOptions, "rounds" | "fsync" | "megabytes">;
  readonly report: (line: string) => void;
}): Promise<readonly string[]> {
  const settings = {
    wal_level: "logical",
    max_wal_size: "4GB",
    fsync: options.fsync ? "on" : "off",
  };
  await using source = await startCluster({ major: 15, settings });
  await using target = await startCluster({ major: 15, settings });
  const rows: string[][] = [];
  for (const load of loads) {
    const ours: Run[] = [];
    const theirs: Run[] = [];
    for (let round = 1; round <= options.rounds; round++) {
      for (const [runs, how] of [[theirs, "subscription"], [ours, "tool"]] as const) {
        const run = await measureLoad(load, { source, target, how, scale: options.megabytes });
        runs.push(run);
        report(`  ${load.name}, round ${round}, ${how}: ${run.seconds.toFixed(2)} s`);
      }
    }
    rows.push(summarize(load, { ours, theirs }));
  }
  return [
    `apply: changes that have piled up, 15 → 15, fsync ${options.fsync ? "on" : "off"}`,
    ...renderTable(
      ["load", "tool", "subscription", "ratio", "aim", "client CPU", "target CPU", "memory"]
        .map((title) => ({ title })),
      rows,
      { columns: Infinity, color: false },
    ),
  ];
}

function summarize(
  { name, bar }: Load,
  { ours, theirs }: { readonly ours: readonly Run[]; readonly theirs: readonly Run[] },
): string[] {
  const seconds = (runs: readonly Run[]) => runs.map((run) => run.seconds);
  const { median, least, most } = ratios(seconds(ours), seconds(theirs));
  const own = spread(ours.map(({ clientCpu }) => clientCpu ?? 0)).median;
  const servers = spread(ours.map(({ targetCpu }) => targetCpu)).median;
  const peak = spread(ours.map(({ peakBytes }) => peakBytes ?? 0)).most;
  return [
    name,
    `${spread(seconds(ours)).median.toFixed(2)} s`,
    `${spread(seconds(theirs)).median.toFixed(2)} s`,
    `${median.toFixed(2)} (${least.toFixed(2)}..${most.toFixed(2)})`,
    `≤ ${bar.toFixed(2)}${median <= bar ? "" : " missed"}`,
    `${own.toFixed(1)} s (${(own / servers).toFixed(2)})`,
    `${servers.toFixed(1)} s`,
    `${Math.round(peak / 1024 / 1024)} MB`,
  ];
}

async function measureLoad(
  { scripts, latencyMs }: Load,
  { source, target, how, scale }: {
    readonly source: Cluster;
    readonly target: Cluster;
    readonly how: "subscription" | "tool";
    readonly scale: number;
  },
): Promise<Run> {
  for (const cluster of [source, target]) {
    await exec(cluster.url(), "DROP DATABASE IF EXISTS apply WITH (FORCE)");
    await exec(cluster.url(), "CREATE DATABASE apply");
  }
  const sourceUrl = source.url({ database: "apply" });
  const targetUrl = target.url({ database: "apply" });
  for (const url of [sourceUrl, targetUrl]) await exec(url, `${schema} ${fill}`);
  await query(sourceUrl, "VACUUM ANALYZE");
  await query(targetUrl, "VACUUM ANALYZE");
  await using link = latencyMs === undefined
    ? undefined
    : await SlowLink.start(target.port, { latencyMs });
  const through = link === undefined ? targetUrl : link.url(targetUrl);
  if (how === "subscription") {
    const replication = await replicate(sourceUrl, targetUrl);
    try {
      await exec(targetUrl, `ALTER SUBSCRIPTION "${replication.name}" DISABLE`);
      await Promise.all(scripts(scale).map((script) => exec(sourceUrl, script)));
      return await measure(
        { sourceUrl, targetUrl, target, child: undefined },
        () => exec(targetUrl, `ALTER SUBSCRIPTION "${replication.name}" ENABLE`),
      );
    } finally {
      await endReplication(replication);
    }
  }
  const stream = await createClientStream(sourceUrl, targetUrl);
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--lock=deno.lock",
      "--frozen",
      "--no-check",
      "-A",
      new URL("apply_child.ts", import.meta.url).pathname,
    ],
    env: { ...denoEnvironment(), SOURCE: sourceUrl, TARGET: through, STREAM: stream.name },
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const output = child.stdout.getReader();
  try {
    await output.read(); // ready
    await Promise.all(scripts(scale).map((script) => exec(sourceUrl, script)));
    return await measure({ sourceUrl, targetUrl, target, child: child.pid }, async () => {
      const writer = child.stdin.getWriter();
      await writer.write(new TextEncoder().encode("\n"));
      writer.releaseLock();
    });
  } finally {
    child.kill("SIGKILL");
    await child.status;
    await output.cancel();
    await child.stdin.close().catch(() => {});
    await endClientStream(stream);
  }
}

async function measure(
  { sourceUrl, targetUrl, target, child }: {
    readonly sourceUrl: string;
    readonly targetUrl: string;
    readonly target: Cluster;
    readonly child: number | undefined;
  },
  start: () => Promise<void>,
): Promise<Run> {
  const cpu = () => ({
    client: child === undefined ? 0 : cpuSecondsOfTree(child),
    target: cpuSecondsOfTree(target.postmasterPid),
  });
  const before = cpu();
  const startMs = performance.now();
  await start();
  await drain(sourceUrl);
  const seconds = (performance.now() - startMs) / 1000;
  const after = cpu();
  const peakBytes = child === undefined ? undefined : peakBytesOf([child]);
  await compareRows(sourceUrl, targetUrl);
  return {
    seconds,
    clientCpu: child === undefined ? undefined : after.client - before.client,
    targetCpu: after.target - before.target,
    peakBytes,
  };
}
