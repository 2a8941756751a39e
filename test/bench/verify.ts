/**
 * `deno task bench verify`: compares `verify` with the time both servers need to read their tables.
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

/** Approximate size of a row on disk, in bytes. */
const rowBytes = 117;
/** The largest tables for the sorting approach, whose text must stay below 1 GB. */
const maxSortedRows = 8_000_000;
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

const shuffle = `
    ALTER TABLE t RENAME TO was;
    CREATE TABLE t AS SELECT * FROM was ORDER BY note;
    DROP TABLE was;
    ALTER TABLE t ADD PRIMARY KEY (id);`;

const scanQuery = "SELECT count(*), sum(hashtextextended(t::text, 0)) FROM t";
const sortQuery = `SELECT md5(string_agg(t::text, '' ORDER BY ${columns})) FROM t`;

/**
 * The same rows in two tables: in key order and in random order. The former makes sorting by the
 * key almost free.
 */
const databases = { ordered: "verify_ordered", shuffled: "verify_shuffled" } as const;
type Order = keyof typeof databases;

/** Elapsed seconds, and CPU seconds of both servers. */
interface Cost {
  readonly seconds: number;
  readonly cpu: number;
}

/** The results of a round. */
interface Round {
  readonly sourceScan: number;
  readonly targetScan: number;
  /** CPU seconds of both servers. */
  readonly scansCpu: number;
  readonly equal: Readonly<Record<Order, Measurement>>;
  readonly different: Measurement;
  /** On both sides in parallel, as a comparison requires. */
  readonly sorted: Readonly<Record<Order, Cost>> | undefined;
}

/** Measures verify and prints the results with their targets. */
export async function benchVerify(
  { options, servers, report }: {
    readonly options: BenchOptions;
    readonly servers: Servers;
    readonly report: (line: string) => void;
  },
): Promise<readonly string[]> {
  const rows = Math.round(options.megabytes * 1024 * 1024 / rowBytes);
  const bench = new Bench(servers, options);
  await make(servers, rows);
  const rounds: Round[] = [];
  // the first start compiles the tool
  await bench.verify("ordered", 0);
  for (let round = 1; round <= options.rounds; round++) {
    const cpu = bench.cpuSeconds();
    const sourceScan = await bench.seconds("source", "ordered", scanQuery);
    const targetScan = await bench.seconds("target", "ordered", scanQuery);
    const scansCpu = bench.cpuSeconds() - cpu;
    const ordered = await bench.verify("ordered", 0);
    await plant(servers, rows, "note || '!'");
    const different = await bench.verify("ordered", planted);
    await plant(servers, rows, "md5(id::text)");
    const equal = { ordered, shuffled: await bench.verify("shuffled", 0) };
    const sorted = rows > maxSortedRows
      ? undefined
      : { ordered: await bench.sorted("ordered"), shuffled: await bench.sorted("shuffled") };
    rounds.push({ sourceScan, targetScan, scansCpu, equal, different, sorted });
    const seconds = (each: number | undefined) => each === undefined ? "–" : `${each.toFixed(2)} s`;
    report(
      `  ${round}/${options.rounds} scans ${seconds(sourceScan)} and ${seconds(targetScan)}, ` +
        `verify ${seconds(ordered.seconds)}, with ${planted} differences ${
          seconds(different.seconds)
        }, in no order ${seconds(equal.shuffled.seconds)}; ` +
        `sorted ${seconds(sorted?.ordered.seconds)}, in no order ${
          seconds(sorted?.shuffled.seconds)
        }; memory ${
          [ordered, different, equal.shuffled].map(({ peakBytes }) =>
            (peakBytes / 1024 / 1024).toFixed(0)
          ).join(", ")
        } MB`,
    );
  }
  return [`verify: ${rows} rows, ${options.megabytes} MB on each side`, ...summary(rounds)];
}

function summary(rounds: readonly Round[]): readonly string[] {
  const of = (value: (round: Round) => number) => rounds.map(value);
  const line = (
    what: string,
    { ours, theirs, bar, most = true }: {
      readonly ours: readonly number[];
      readonly theirs: readonly number[];
      readonly bar: number;
      readonly most?: boolean;
    },
  ) => {
    const ratio = ratios(ours, theirs);
    const reached = most ? ratio.median <= bar : ratio.median >= bar;
    return [
      what,
      `${ratio.median.toFixed(2)} (${ratio.least.toFixed(2)}..${ratio.most.toFixed(2)})`,
      `${most ? "≤" : "≥"} ${bar.toFixed(2)}`,
      reached ? "✓" : "✗",
    ];
  };
  const serverCpu = ({ sourceCpu, targetCpu }: Measurement) => sourceCpu + targetCpu;
  const sorts = rounds.flatMap(({ sorted, equal }) =>
    sorted === undefined ? [] : [{ sorted, equal }]
  );
  const against = (order: Order) =>
    sorts.length === 0 ? [] : [
      line(`md5(string_agg(… ORDER BY …)) on both sides at once / verify, rows ${order}`, {
        ours: sorts.map(({ sorted }) => sorted[order].seconds),
        theirs: sorts.map(({ equal }) => equal[order].seconds),
        bar: 5,
        most: false,
      }),
      line("the same in CPU seconds of both servers", {
        ours: sorts.map(({ sorted }) => sorted[order].cpu),
        theirs: sorts.map(({ equal }) => serverCpu(equal[order])),
        bar: 5,
        most: false,
      }),
    ];
  const slower = of(({ sourceScan, targetScan }) => Math.max(sourceScan, targetScan));
  const equal = of((round) => round.equal.ordered.seconds);
  const peak = spread(
    rounds.flatMap((round) =>
      [round.equal.ordered, round.equal.shuffled, round.different].map(({ peakBytes }) => peakBytes)
    ),
  ).most / 1024 / 1024;
  return renderTable(
    [{ title: "ratio" }, { title: "median (least..most)", align: "right" }, {
      title: "bar",
      align: "right",
    }, { title: "" }],
    [
      line("verify / slower side's scan", { ours: equal, theirs: slower, bar: 1.6 }),
      line("verify / slower side's scan, rows shuffled", {
        ours: of((round) => round.equal.shuffled.seconds),
        theirs: slower,
        bar: 1.6,
      }),
      line("CPU seconds of both servers: verify / both scans", {
        ours: of((round) => serverCpu(round.equal.ordered)),
        theirs: of(({ scansCpu }) => scansCpu),
        bar: 1.6,
      }),
      line(`verify with ${planted} differences / without`, {
        ours: of((round) => round.different.seconds),
        theirs: equal,
        bar: 1.5,
      }),
      ...against("ordered"),
      ...against("shuffled"),
      ["memory of the tool, MB", peak.toFixed(0), "≤ 150", peak <= 150 ? "✓" : "✗"],
    ],
    { columns: Infinity, color: false },
  );
}

async function make({ source, target }: Servers, rows: number): Promise<void> {
  await Promise.all([source, target].map(async (server) => {
    const { ordered, shuffled } = databases;
    const make = async (name: string, template: string, script: string) => {
      await exec(server.url(), `CREATE DATABASE ${name} TEMPLATE ${template}`);
      await exec(server.url({ database: name }), script);
      await exec(server.url({ database: name }), "VACUUM (FREEZE, ANALYZE) t");
    };
    await make(ordered, "template0", schema(rows));
    await make(shuffled, ordered, shuffle);
    await exec(server.url(), "CHECKPOINT");
  }));
}

/** Changes ten evenly spread rows. */
async function plant({ target }: Servers, rows: number, value: string): Promise<void> {
  await query(
    target.url({ database: databases.ordered }),
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

  async seconds(side: "source" | "target", order: Order, statement: string): Promise<number> {
    const url = this.#servers[side].url({ database: databases[order] });
    return await withSession(url, async (session) => {
      const start = performance.now();
      await session.unsafe(statement).simple();
      return (performance.now() - start) / 1000;
    });
  }

  /** Both sides sort in parallel, as a comparison requires. */
  async sorted(order: Order): Promise<Cost> {
    const cpu = this.cpuSeconds();
    const sides = await Promise.all(
      (["source", "target"] as const).map((side) => this.seconds(side, order, sortQuery)),
    );
    return { seconds: Math.max(...sides), cpu: this.cpuSeconds() - cpu };
  }

  async verify(order: Order, differences: number): Promise<Measurement> {
    const database = databases[order];
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
