/**
 * `deno task bench cutover`: the pause that writers feel in a cutover, and what a read-only switch
 * by hand loses or rejects under the same load.
 *
 * @module
 */
import { renderTable } from "../../lib/ui/table.ts";
import { startCluster } from "../../lib/cluster/mod.ts";
import type { SwitchStep } from "../../lib/commands/cutover/report.ts";
import { executeRehearse } from "../../lib/commands/cutover/rehearse.ts";
import {
  acknowledgedSchema,
  checkAcknowledged,
  startAcknowledgedLoad,
} from "../support/acknowledged_load.ts";
import {
  type CutoverPair,
  prepareCutover,
  quietRun,
  switchCutover,
  withCutoverPair,
} from "../support/cutover_pair.ts";
import { drain } from "../support/replicated.ts";
import { exec, query, withSession } from "../support/sql.ts";
import type { BenchOptions } from "./options.ts";

const writers = 8;
const extraTables = 196;

const schema = `${acknowledgedSchema}
  DO $$ BEGIN FOR n IN 1..${extraTables} LOOP
    EXECUTE format('CREATE TABLE extra_%s (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text)', n);
  END LOOP; END $$;`;

const settings = {
  wal_level: "logical",
  max_wal_senders: "20",
  max_replication_slots: "20",
  max_logical_replication_workers: "10",
  max_worker_processes: "20",
  max_connections: "200",
} as const;

/** One switch. All times are in milliseconds. */
interface Round {
  readonly predictedMs: number;
  readonly pauseMs: number;
  readonly feltMs: number;
  /** Durations of the steps while writers waited, by their names. */
  readonly steps: Readonly<Record<string, number>>;
  readonly errors: Readonly<Record<string, number>>;
}

/**
 * Runs, rolls back, and runs again, so often as `--rounds` says; returns lines for the terminal.
 */
export async function benchCutover(
  { options: { rounds, fsync }, report }: {
    readonly options: Pick<BenchOptions, "rounds" | "fsync">;
    readonly report: (line: string) => void;
  },
): Promise<readonly string[]> {
  const shared = { ...settings, fsync: fsync ? "on" : "off" };
  await using source = await startCluster({ major: 15, settings: shared });
  await using target = await startCluster({ major: 18, settings: shared });
  const lines: string[] = [];
  await withCutoverPair({ source, target, schema }, async (pair) => {
    await prepareCutover(pair);
    const done: Round[] = [];
    let first = 0;
    for (let round = 0; round < rounds; round++) {
      const direction = round % 2 === 0 ? "run" : "rollback";
      const result = await measure(pair, direction, first);
      first = result.last;
      done.push(result.round);
      report(
        `${direction}: ${Math.round(result.round.pauseMs)} ms, felt ${
          Math.round(result.round.feltMs)
        } ms, predicted ${Math.round(result.round.predictedMs)} ms`,
      );
    }
    lines.push(...table(done));
  });
  await withCutoverPair({ source, target, schema }, async (pair) => {
    lines.push("", ...await switchByHand(pair));
  });
  return lines;
}

async function measure(
  pair: CutoverPair,
  direction: "run" | "rollback",
  first: number,
): Promise<{ readonly round: Round; readonly last: number }> {
  const urls = direction === "run" ? [pair.url, pair.targetUrl] : [pair.targetUrl, pair.url];
  await using load = startAcknowledgedLoad(urls, { writers, pauseMs: 0, first });
  await load.more(500);
  const rehearsal = await executeRehearse({
    now: () => new Date(),
    ...pair.servers,
    maxPauseMs: 30_000,
    tokens: 20,
    brownoutMs: undefined,
    sequenceMargin: 1_000,
  }, quietRun);
  await load.more(500);
  load.takeLongestMs();
  const report = await switchCutover(direction, pair);
  await load.more(500);
  const feltMs = load.takeLongestMs();
  const outcome = await load.stop();
  const problems = await checkAfter(pair, direction === "run" ? pair.targetUrl : pair.url, {
    ...outcome,
    first,
  });
  if (problems.length > 0) throw new Error(problems.join("\n"));
  return {
    round: {
      predictedMs: rehearsal.predictedPauseMs,
      pauseMs: report!.pauseMs,
      feltMs,
      steps: pauseSteps(report!.steps),
      errors: outcome.errors,
    },
    last: Math.max(first, ...outcome.acknowledged.map(({ n }) => n)) + 1_000,
  };
}

/** Steps that ran twice are numbered, in the order of the timeline. */
function pauseSteps(steps: readonly SwitchStep[]): Readonly<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const { step, ms } of steps.filter(({ isPause }) => isPause)) {
    found[step in found ? `${step} (commit)` : step] = ms;
  }
  return found;
}

type Outcome = Parameters<typeof checkAcknowledged>[1];

/** Earlier rounds have rows too: only those of this one are looked for. */
async function checkAfter(
  { url, targetUrl }: CutoverPair,
  inUse: string,
  { acknowledged, first }: Outcome & { readonly first: number },
): Promise<readonly string[]> {
  await drain(inUse);
  const problems: string[] = [];
  for (const side of [url, targetUrl]) {
    const rows = await query<{ writer: number; n: number; count: number }>(
      side,
      "SELECT writer, n, count(*)::int AS count FROM ack WHERE n > $1 GROUP BY writer, n",
      [first],
    );
    const found = new Map(rows.map((row) => [`${row.writer}/${row.n}`, row.count]));
    for (const { writer, n } of acknowledged) {
      const count = found.get(`${writer}/${n}`) ?? 0;
      if (count !== 1) problems.push(`${writer}/${n} exists ${count} times`);
    }
  }
  return problems;
}

function table(rounds: readonly Round[]): readonly string[] {
  const sorted = (values: readonly number[]) => values.toSorted((a, b) => a - b);
  const share = (values: readonly number[], part: number) =>
    `${
      Math.round(sorted(values)[Math.min(values.length - 1, Math.ceil(values.length * part) - 1)]!)
    } ms`;
  const row = (name: string, values: readonly number[]) => [
    name,
    share(values, 0.5),
    share(values, 0.99),
  ];
  const errors = new Set(rounds.flatMap((round) => Object.keys(round.errors)));
  const misses = rounds.filter(({ predictedMs, pauseMs }) =>
    Math.abs(predictedMs - pauseMs) > pauseMs / 2
  );
  return [
    `${rounds.length} switches between 15 and 18, ${writers} writers, 200 tables:`,
    ...renderTable(
      [{ title: "" }, { title: "p50", align: "right" }, { title: "p99", align: "right" }],
      [
        row("pause by the tool's clock", rounds.map(({ pauseMs }) => pauseMs)),
        row("longest wait that a writer felt", rounds.map(({ feltMs }) => feltMs)),
        row("predicted by the rehearsal", rounds.map(({ predictedMs }) => predictedMs)),
        ...Object.keys(rounds[0]?.steps ?? {}).map((step) =>
          row(`  ${step}`, rounds.map(({ steps }) => steps[step] ?? 0))
        ),
      ],
      { columns: 100, color: false },
    ),
    `errors of writers: ${
      [...errors].join(", ") || "none"
    }; predictions off by more than half: ${misses.length}`,
  ];
}

/**
 * What many do by hand: a read-only default, terminated sessions, and waiting until the positions
 * are equal. A session that asks for read-write mode, and the transactions that were terminated,
 * show what it costs.
 */
async function switchByHand(pair: CutoverPair): Promise<readonly string[]> {
  const name = new URL(pair.url).pathname.slice(1);
  await using load = startAcknowledgedLoad([pair.url, pair.targetUrl], { writers, pauseMs: 0 });
  await load.more(500);
  await exec(pair.url, `ALTER DATABASE "${name}" SET default_transaction_read_only = on`);
  await exec(
    pair.url,
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND application_name LIKE 'ack %'`,
  );
  await drain(pair.url);
  // an application that sets its own mode is not stopped
  await withSession(
    pair.url,
    (sql) =>
      sql.unsafe("BEGIN READ WRITE; INSERT INTO ack (writer, n) VALUES (99, 1); COMMIT").simple(),
  );
  await exec(
    pair.targetUrl,
    `DO $$ DECLARE s text; BEGIN FOR s IN SELECT subname FROM pg_subscription LOOP
       EXECUTE format('ALTER SUBSCRIPTION %I DISABLE', s); END LOOP; END $$`,
  );
  await load.more(200);
  const outcome = await load.stop();
  const problems = await checkAcknowledged(pair.targetUrl, {
    ...outcome,
    acknowledged: [...outcome.acknowledged, { writer: 99, n: 1 }],
  });
  const errors = Object.entries(outcome.errors).map(([code, count]) => `${count} × ${code}`);
  return [
    "The same by hand (read-only default, terminated sessions, positions equal, sequences not set):",
    `  acknowledged commits that the target lacks: ${problems.length}`,
    `  errors of writers: ${
      errors.join(", ")
    }; transactions with unknown outcome: ${outcome.unknown.length}`,
  ];
}
