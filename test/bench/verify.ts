/**
 * `deno task bench verify`: the command line's verify against what both servers need to read their tables.
 *
 * @module
 */
import { renderTable } from "../../lib/ui/table.ts";
import { cliCommand, denoEnvironment } from "../support/cli.ts";
import { exec, query, withSession } from "../support/sql.ts";
import { commandLine, measure, type Measurement } from "./measure.ts";
import type { BenchOptions } from "./options.ts";
import { cpuSecondsOfTree } from "./processes.ts";
import type { Servers } from "./servers.ts";
import { ratios, spread } from "./statistics.ts";

/** Bytes of a row on disk, roughly. */
const rowBytes = 117;
/** Tables that the sorting way still manages: its text must stay below 1 GB. */
const mostSortedRows = 2_000_000;
const planted = 10;

const columns = "id, name, at, n, amount, note";

function schema(rows: number): string {
  return `
    CREATE TABLE t AS
      SELECT i::bigint AS id, 'customer name ' || i AS name, timestamptz '2024-01-01 00:00Z' + i * interval '1 s' AS at,
             (i % 1000)::int AS n, (i * 1.37)::numeric(12, 2) AS amount, md5(i::text) AS note
        FROM generate_series(1, ${rows}) AS i;
    ALTER TABLE t ADD PRIMARY KEY (id);`;
}

const scanQuery = "SELECT count(*), sum(hashtextextended(t::text, 0)) FROM t";
const sortQuery = `SELECT md5(string_agg(t::text, '' ORDER BY ${columns})) FROM t`;

/** What a round came to, in seconds, and of ours the memory. */
interface Round {
  readonly sourceScan: number;
  readonly targetScan: number;
  readonly equal: Measurement;
  readonly different: Measurement;
  /** On both sides at once, as who compares with it has to. */
  readonly sorted: number;
  readonly oursOfSorted: number;
  /** CPU seconds of both servers. */
  readonly scansCpu: number;
  readonly sortedCpu: number;
  readonly oursOfSortedCpu: number;
}

/** Measures verify and prints the figures with the bars. */
export async function benchVerify(
  { options, servers, tell }: {
    readonly options: BenchOptions;
    readonly servers: Servers;
    readonly tell: (line: string) => void;
  },
): Promise<readonly string[]> {
  const rows = Math.round(options.megabytes * 1024 * 1024 / rowBytes);
  const small = Math.min(rows, mostSortedRows);
  await make(servers, "verify_large", rows);
  await make(servers, "verify_small", small);
  const rounds: Round[] = [];
  // the first start of the tool compiles it
  await new Bench(servers, options).verify("verify_small", 0);
  for (let round = 1; round <= options.rounds; round++) {
    const bench = new Bench(servers, options);
    const cpu = bench.cpuSeconds();
    const sourceScan = await bench.seconds("source", "verify_large", scanQuery);
    const targetScan = await bench.seconds("target", "verify_large", scanQuery);
    const scansCpu = bench.cpuSeconds() - cpu;
    const equal = await bench.verify("verify_large", 0);
    await plant(servers, rows, "note || '!'");
    const different = await bench.verify("verify_large", planted);
    await plant(servers, rows, "md5(id::text)");
    const sortCpu = bench.cpuSeconds();
    const sorted = Math.max(
      ...await Promise.all(
        (["source", "target"] as const).map((side) =>
          bench.seconds(side, "verify_small", sortQuery)
        ),
      ),
    );
    const sortedCpu = bench.cpuSeconds() - sortCpu;
    const { seconds: oursOfSorted, sourceCpu, targetCpu } = await bench.verify("verify_small", 0);
    rounds.push({
      sourceScan,
      targetScan,
      equal,
      different,
      sorted,
      oursOfSorted,
      scansCpu,
      sortedCpu,
      oursOfSortedCpu: sourceCpu + targetCpu,
    });
    tell(
      `  ${round}/${options.rounds} scans ${sourceScan.toFixed(2)} and ${
        targetScan.toFixed(2)
      } s, ` +
        `verify ${equal.seconds.toFixed(2)} s, with ${planted} differences ${
          different.seconds.toFixed(2)
        } s; ` +
        `sorted ${sorted.toFixed(2)} s, verify ${oursOfSorted.toFixed(2)} s`,
    );
  }
  return [
    `verify: ${rows} rows, ${options.megabytes} MB on each side; sorting ${small} rows`,
    ...summary(rounds),
  ];
}

function summary(rounds: readonly Round[]): readonly string[] {
  const of = (value: (round: Round) => number) => rounds.map(value);
  const line = (what: string, ours: number[], theirs: number[], bar: number, most = true) => {
    const ratio = ratios(ours, theirs);
    const reached = most ? ratio.median <= bar : ratio.median >= bar;
    return [
      what,
      `${ratio.median.toFixed(2)} (${ratio.least.toFixed(2)}..${ratio.most.toFixed(2)})`,
      `${most ? "≤" : "≥"} ${bar.toFixed(2)}`,
      reached ? "✓" : "✗",
    ];
  };
  const slower = of(({ sourceScan, targetScan }) => Math.max(sourceScan, targetScan));
  const equal = of((round) => round.equal.seconds);
  const peak = spread(
    rounds.flatMap((round) => [round.equal.peakBytes, round.different.peakBytes]),
  ).most / 1024 / 1024;
  return renderTable(
    [{ title: "ratio" }, { title: "median (least..most)", align: "right" }, {
      title: "bar",
      align: "right",
    }, { title: "" }],
    [
      line("verify / slower side's scan", equal, slower, 1.6),
      line(
        "verify / both scans one after the other",
        equal,
        of(({ sourceScan, targetScan }) => sourceScan + targetScan),
        1.6,
      ),
      line(
        "CPU seconds of both servers: verify / both scans",
        of(({ equal: { sourceCpu, targetCpu } }) => sourceCpu + targetCpu),
        of(({ scansCpu }) => scansCpu),
        1.6,
      ),
      line(
        `verify with ${planted} differences / without`,
        of((round) => round.different.seconds),
        equal,
        1.5,
      ),
      line(
        "md5(string_agg(… ORDER BY …)) on both sides at once / verify",
        of(({ sorted }) => sorted),
        of(({ oursOfSorted }) => oursOfSorted),
        5,
        false,
      ),
      line(
        "the same in CPU seconds of both servers",
        of(({ sortedCpu }) => sortedCpu),
        of(({ oursOfSortedCpu }) => oursOfSortedCpu),
        5,
        false,
      ),
      ["memory of the tool, MB", peak.toFixed(0), "≤ 150", peak <= 150 ? "✓" : "✗"],
    ],
    { columns: Infinity, color: false },
  );
}

async function make({ source, target }: Servers, name: string, rows: number): Promise<void> {
  await Promise.all([source, target].map(async (server) => {
    await exec(server.url(), `CREATE DATABASE ${name} TEMPLATE template0`);
    await exec(server.url({ database: name }), schema(rows));
    await exec(server.url({ database: name }), "VACUUM (FREEZE, ANALYZE) t");
    await exec(server.url(), "CHECKPOINT");
  }));
}

/** Ten rows, evenly spread. */
async function plant({ target }: Servers, rows: number, value: string): Promise<void> {
  await query(
    target.url({ database: "verify_large" }),
    `UPDATE t SET note = ${value}
      WHERE id IN (SELECT 1 + i * (${rows}::bigint / ${planted}) FROM generate_series(0, ${
      planted - 1
    }) AS i)`,
  );
}

class Bench {
  readonly #servers: Servers;
  readonly #options: BenchOptions;

  constructor(servers: Servers, options: BenchOptions) {
    this.#servers = servers;
    this.#options = options;
  }

  cpuSeconds(): number {
    const { source, target } = this.#servers;
    return cpuSecondsOfTree(source.postmasterPid) + cpuSecondsOfTree(target.postmasterPid);
  }

  async seconds(side: "source" | "target", database: string, statement: string): Promise<number> {
    return await withSession(this.#servers[side].url({ database }), async (session) => {
      const start = performance.now();
      await session.unsafe(statement).simple();
      return (performance.now() - start) / 1000;
    });
  }

  async verify(database: string, differences: number): Promise<Measurement> {
    const { source, target } = this.#servers;
    const scratch = await Deno.makeTempDir({ prefix: "psr-bench-" });
    try {
      const words = [
        ...[Deno.execPath(), ...cliCommand, "verify", "--json", "--jobs"],
        ...[String(this.#options.jobs), "--include-databases", database],
        ...["--source", source.url({ database }), "--target", target.url({ database })],
      ];
      const script = `${commandLine(words)} > report.json; test $? = ${differences > 0 ? 6 : 0}`;
      const { measured } = await measure({
        script,
        environment: denoEnvironment(),
        scratch,
        patienceSeconds: this.#options.patienceSeconds,
        servers: { source: source.postmasterPid, target: target.postmasterPid },
      });
      const report = JSON.parse(await Deno.readTextFile(`${scratch}/report.json`));
      const found = report.databases[0].tables[0].differences.length;
      if (found !== differences) throw new Error(`found ${found} differences`);
      return measured;
    } finally {
      await Deno.remove(scratch, { recursive: true });
    }
  }
}
