/**
 * `deno task bench apply`: how fast the tool applies changes that have piled up, against a
 * subscription of the target's own server.
 *
 * @module
 */
import type postgres from "postgres";
import { renderTable } from "../../lib/ui/table.ts";
import { type Cluster, startCluster } from "../../lib/cluster/mod.ts";
import { denoEnvironment } from "../support/cli.ts";
import { createClientStream, endClientStream, RunningApplier } from "../support/client_stream.ts";
import { compareRows } from "../support/replicated.ts";
import { endReplication, replicate } from "../support/replication.ts";
import { exec, query, withSession } from "../support/sql.ts";
import { SlowLink } from "./link.ts";
import type { BenchOptions } from "./options.ts";
import { cpuSecondsOfTree, peakBytesOf } from "./processes.ts";
import { ratios, spread } from "./statistics.ts";

const schema = `
  CREATE TABLE item (id bigint PRIMARY KEY, name text, n int, at timestamptz, amount numeric(12, 2));
  CREATE TABLE account (id int PRIMARY KEY, branch int, balance int, filler char(84));
  CREATE TABLE branch (id int PRIMARY KEY, balance int, filler char(88));
  CREATE TABLE history (account int, branch int, delta int, at timestamptz, filler char(22));
  CREATE TABLE finished (id int PRIMARY KEY);`;

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
}

/**
 * What applies the changes. `far` is the tool with 40 ms between it and the target; `read` is
 * pg_recvlogical, which applies nothing: no applier that reads the slot takes less.
 */
type Applier = "subscription" | "tool" | "far" | "read";

const each = (count: number, script: (session: number) => string) =>
  Array.from({ length: count }, (_, session) => script(session));

const loads: readonly Load[] = [
  {
    name: "one-row",
    what: "transactions of one insertion",
    scripts: (scale) =>
      each(4, (session) =>
        `DO $$ BEGIN FOR i IN 1..${400 * scale} LOOP
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
    what: "large transactions of updates by key",
    scripts: (scale) => [
      each(
        Math.ceil(scale / 20),
        () => "BEGIN; UPDATE item SET n = n + 1, amount = amount + 1; COMMIT;",
      ).join(" "),
    ],
    bar: 1 / 1.5,
  },
  {
    name: "mix",
    what: "transactions like pgbench's",
    scripts: (scale) =>
      each(4, (session) =>
        `DO $$ DECLARE a int; BEGIN FOR i IN 1..${200 * scale} LOOP
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
  readonly sourceCpu: number;
  readonly targetCpu: number;
  readonly peakBytes: number | undefined;
}

/** Returns lines for the terminal. */
export async function benchApply({ options, report }: {
  readonly options: Pick<BenchOptions, "rounds" | "fsync" | "megabytes" | "major">;
  readonly report: (line: string) => void;
}): Promise<readonly string[]> {
  const settings = {
    wal_level: "logical",
    max_wal_size: "4GB",
    fsync: options.fsync ? "on" : "off",
  };
  await using source = await startCluster({ major: options.major, settings });
  await using target = await startCluster({ major: options.major, settings });
  const canRead = await isInstalled("pg_recvlogical");
  const rows: string[][] = [];
  for (const load of loads) {
    const runs: Record<Applier, Run[]> = { subscription: [], tool: [], far: [], read: [] };
    const appliers = ["subscription", "tool", "far", "read"] as const;
    for (let round = 1; round <= options.rounds; round++) {
      for (const how of canRead ? appliers : appliers.filter((each) => each !== "read")) {
        const run = await measureLoad(load, { source, target, how, scale: options.megabytes });
        runs[how].push(run);
        report(`  ${load.name}, round ${round}, ${how}: ${run.seconds.toFixed(2)} s`);
      }
    }
    rows.push(summarize(load, runs));
  }
  const lags = spread(await measureLag({ source, target }));
  return [
    `apply: changes that have piled up, ${options.major} → ${options.major}, fsync ${
      options.fsync ? "on" : "off"
    }`,
    ...renderTable(
      [
        "load",
        "tool",
        "subscription",
        "ratio",
        "aim",
        "40 ms away / near",
        "reading alone / subscription",
        "CPU of the tool, target, source",
        "with a subscription",
        "memory",
      ].map((title) => ({ title })),
      rows,
      { columns: Infinity, color: false },
    ),
    `idle: a change is on the target ${lags.median.toFixed(0)} ms after its commit, at most ${
      lags.most.toFixed(0)
    } ms (aim: 100)`,
  ];
}

function summarize(
  { name, bar }: Load,
  { tool: ours, subscription: theirs, far, read }: Readonly<Record<Applier, readonly Run[]>>,
): string[] {
  const seconds = (runs: readonly Run[]) => runs.map((run) => run.seconds);
  const { median, least, most } = ratios(seconds(ours), seconds(theirs));
  const cpu = (runs: readonly Run[], which: "clientCpu" | "targetCpu" | "sourceCpu") =>
    spread(runs.map((run) => run[which] ?? 0)).median.toFixed(1);
  const peak = spread(ours.map(({ peakBytes }) => peakBytes ?? 0)).most;
  return [
    name,
    `${spread(seconds(ours)).median.toFixed(2)} s`,
    `${spread(seconds(theirs)).median.toFixed(2)} s`,
    `${median.toFixed(2)} (${least.toFixed(2)}..${most.toFixed(2)})`,
    `≤ ${bar.toFixed(2)}${median <= bar ? "" : " missed"}`,
    ratios(seconds(far), seconds(ours)).median.toFixed(2),
    read.length === 0 ? "not installed" : ratios(seconds(read), seconds(theirs)).median.toFixed(2),
    `${cpu(ours, "clientCpu")}, ${cpu(ours, "targetCpu")}, ${cpu(ours, "sourceCpu")} s`,
    `${cpu(theirs, "targetCpu")}, ${cpu(theirs, "sourceCpu")} s`,
    `${Math.round(peak / 1024 / 1024)} MB`,
  ];
}

/** Creates equal databases on both servers. */
async function createDatabases(
  { source, target }: { readonly source: Cluster; readonly target: Cluster },
): Promise<{ readonly sourceUrl: string; readonly targetUrl: string }> {
  for (const cluster of [source, target]) {
    await exec(cluster.url(), "DROP DATABASE IF EXISTS apply WITH (FORCE)");
    await exec(cluster.url(), "CREATE DATABASE apply");
  }
  const sourceUrl = source.url({ database: "apply" });
  const targetUrl = target.url({ database: "apply" });
  for (const url of [sourceUrl, targetUrl]) await exec(url, `${schema} ${fill}`);
  // the load piles up sooner; on the target only a subscription has this setting
  await exec(sourceUrl, "ALTER DATABASE apply SET synchronous_commit = off");
  await query(sourceUrl, "VACUUM ANALYZE");
  await query(targetUrl, "VACUUM ANALYZE");
  return { sourceUrl, targetUrl };
}

async function measureLoad(
  { scripts }: Load,
  { source, target, how, scale }: {
    readonly source: Cluster;
    readonly target: Cluster;
    readonly how: Applier;
    readonly scale: number;
  },
): Promise<Run> {
  const { sourceUrl, targetUrl } = await createDatabases({ source, target });
  const run = async () => {
    await Promise.all(scripts(scale).map((script) => exec(sourceUrl, script)));
    await exec(sourceUrl, "INSERT INTO finished VALUES (1)");
  };
  if (how === "subscription") {
    // its own default, synchronous_commit = off, is its fastest
    const replication = await replicate(sourceUrl, targetUrl, { options: "" });
    try {
      await exec(targetUrl, `ALTER SUBSCRIPTION "${replication.name}" DISABLE`);
      await run();
      return await measure(
        { sourceUrl, targetUrl, source, target, child: undefined },
        () => exec(targetUrl, `ALTER SUBSCRIPTION "${replication.name}" ENABLE`),
      );
    } finally {
      await endReplication(replication);
    }
  }
  const stream = await createClientStream(sourceUrl, targetUrl);
  if (how === "read") {
    try {
      await run();
      return await measureReading(stream.name, { sourceUrl, source });
    } finally {
      await endClientStream(stream);
    }
  }
  await using link = how === "far"
    ? await SlowLink.start(Number(new URL(targetUrl).port), { latencyMs: 20 })
    : undefined;
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--lock=deno.lock",
      "--frozen",
      "--no-check",
      "-A",
      new URL("apply_child.ts", import.meta.url).pathname,
    ],
    env: {
      ...denoEnvironment(),
      SOURCE: sourceUrl,
      TARGET: link?.url(targetUrl) ?? targetUrl,
      STREAM: stream.name,
    },
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const output = child.stdout.getReader();
  try {
    await output.read(); // ready
    await run();
    const servers = { sourceUrl, targetUrl, source, target };
    return await measure({ ...servers, child: child.pid }, async () => {
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

/** Until everything that has piled up has been received. */
async function measureReading(
  name: string,
  { sourceUrl, source }: { readonly sourceUrl: string; readonly source: Cluster },
): Promise<Run> {
  const [end] = await query<{ lsn: string }>(
    sourceUrl,
    "SELECT pg_current_wal_insert_lsn()::text AS lsn",
  );
  const before = cpuSecondsOfTree(source.postmasterPid);
  const startMs = performance.now();
  const { success, stderr } = await new Deno.Command("pg_recvlogical", {
    args: [
      ...["--dbname", sourceUrl, "--slot", name, "--start", "--endpos", end!.lsn],
      ...["--option", "proto_version=1", "--option", `publication_names="${name}"`],
      ...["--file", "/dev/null", "--no-loop", "--fsync-interval", "0"],
    ],
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  const seconds = (performance.now() - startMs) / 1000;
  const sourceCpu = cpuSecondsOfTree(source.postmasterPid) - before;
  return { seconds, clientCpu: undefined, sourceCpu, targetCpu: 0, peakBytes: undefined };
}

async function isInstalled(program: string): Promise<boolean> {
  try {
    return (await new Deno.Command(program, { args: ["--version"], stdout: "null" }).output())
      .success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Until the last change can be seen on the target. */
async function measure(
  { sourceUrl, targetUrl, source, target, child }: {
    readonly sourceUrl: string;
    readonly targetUrl: string;
    readonly source: Cluster;
    readonly target: Cluster;
    readonly child: number | undefined;
  },
  start: () => Promise<void>,
): Promise<Run> {
  const cpu = () => ({
    client: child === undefined ? 0 : cpuSecondsOfTree(child),
    source: cpuSecondsOfTree(source.postmasterPid),
    target: cpuSecondsOfTree(target.postmasterPid),
  });
  const before = cpu();
  const startMs = performance.now();
  await start();
  await untilPresent(targetUrl, "SELECT FROM finished");
  const seconds = (performance.now() - startMs) / 1000;
  const after = cpu();
  const peakBytes = child === undefined ? undefined : peakBytesOf([child]);
  await compareRows(sourceUrl, targetUrl);
  return {
    seconds,
    clientCpu: child === undefined ? undefined : after.client - before.client,
    sourceCpu: after.source - before.source,
    targetCpu: after.target - before.target,
    peakBytes,
  };
}

const pollMs = 10;

/** Waits until a statement returns a row. */
async function untilPresent(url: string, statement: string): Promise<void> {
  await withSession(url, (session) => untilFound(session, { statement, pollMs }));
}

async function untilFound(
  session: postgres.Sql,
  { statement, pollMs }: { readonly statement: string; readonly pollMs: number },
): Promise<void> {
  const deadline = performance.now() + 600_000;
  while ((await session.unsafe(statement).simple()).length === 0) {
    if (performance.now() > deadline) throw new Error("the target has not caught up in time");
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

const lagRounds = 50;

const lagPollMs = 2;

/** How long single changes of an idle stream take, in milliseconds. */
async function measureLag(
  servers: { readonly source: Cluster; readonly target: Cluster },
): Promise<readonly number[]> {
  const { sourceUrl, targetUrl } = await createDatabases(servers);
  const stream = await createClientStream(sourceUrl, targetUrl);
  const applier = new RunningApplier(stream);
  const lags: number[] = [];
  try {
    // a login would take longer than a change
    await withSession(sourceUrl, (writing) =>
      withSession(targetUrl, async (reading) => {
        // otherwise nothing is sent before the WAL writer has flushed it, 0.2 s later
        await writing.unsafe("SET synchronous_commit = on").simple();
        for (let round = 0; round <= lagRounds; round++) {
          await writing.unsafe(`INSERT INTO finished VALUES (${round})`).simple();
          const startMs = performance.now();
          const statement = `SELECT FROM finished WHERE id = ${round}`;
          await untilFound(reading, { statement, pollMs: lagPollMs });
          // the first one waits for the applier to start
          if (round > 0) lags.push(performance.now() - startMs);
          await new Promise((resolve) => setTimeout(resolve, 150));
        }
      }));
  } finally {
    await applier[Symbol.asyncDispose]();
    await endClientStream(stream);
  }
  return lags;
}
