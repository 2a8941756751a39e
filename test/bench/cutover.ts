/**
 * `deno task bench cutover`: how long writers wait in a cutover, what the clients of PgBouncer see,
 * and what a read-only switch by hand loses or rejects under the same load.
 *
 * @module
 */
import { formatDuration } from "../../lib/core/internal.ts";
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
import { hasPgBouncer, PgBouncer } from "../support/pgbouncer.ts";
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

/** Clients of PgBouncer in transaction mode, which a hook pauses and moves to the other side. */
async function switchBehindPgBouncer(
  pair: CutoverPair,
  { rounds, report }: { readonly rounds: number; readonly report: (line: string) => void },
): Promise<readonly string[]> {
  await prepareCutover(pair);
  await using pool = await PgBouncer.start(pair.url, "transaction");
  await using load = startAcknowledgedLoad([pool.url], { writers, pauseMs: 0 });
  await load.more(500);
  const waits: number[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const direction of ["run", "rollback"] as const) {
      load.takeLongestMs();
      await switchCutover(direction, pair, {
        hook: async (hook) => {
          if (hook === "before") await pool.admin("PAUSE app");
          if (hook === "switch") {
            await pool.moveTo(direction === "run" ? pair.targetUrl : pair.url);
          }
          if (hook === "switch" || hook === "abort") await pool.admin("RESUME app");
        },
      });
      await load.more(500);
      waits.push(load.takeLongestMs());
      report(`${direction} behind PgBouncer: a client waited ${Math.round(waits.at(-1)!)} ms`);
    }
  }
  const outcome = await load.stop();
  const problems = await checkAfter(pair, pair.url, { ...outcome, first: 0 });
  if (problems.length > 0) throw new Error(problems.join("\n"));
  return [
    `${rounds} runs and ${rounds} rollbacks behind PgBouncer in transaction mode, paused by a hook:`,
    `  longest wait of a client: p50 ${shareOf(waits, 0.5)}, p99 ${shareOf(waits, 0.99)}`,
    `  acknowledged commits: ${outcome.acknowledged.length}, each once on both sides`,
    `  errors of clients: ${describeErrors(outcome.errors)}`,
  ];
}

function describeErrors(errors: Round["errors"]): string {
  return Object.entries(errors).map(([code, count]) => `${count} × ${code}`).join(", ") || "none";
}

/** The time that a share of all values does not exceed. */
function shareOf(values: readonly number[], part: number): string {
  const sorted = values.toSorted((a, b) => a - b);
  return `${Math.round(sorted[Math.min(sorted.length, Math.ceil(sorted.length * part)) - 1]!)} ms`;
}

/** One switch. All times are in milliseconds. */
interface Round {
  readonly predictedMs: number;
  readonly pauseMs: number;
  readonly waitMs: number;
  /** Durations of the steps while writers waited, by their names. */
  readonly steps: Readonly<Record<string, number>>;
  readonly errors: Readonly<Record<string, number>>;
}

/**
 * Runs, rolls back, and runs again, as often as `--rounds` says; reports lines for the terminal.
 */
export async function benchCutover(
  { options: { rounds, fsync }, report, print }: {
    readonly options: Pick<BenchOptions, "rounds" | "fsync">;
    /** Receives each switch as it ends. */
    readonly report: (line: string) => void;
    /** Receives the lines of each comparison. */
    readonly print: (line: string) => void;
  },
): Promise<void> {
  const shared = { ...settings, fsync: fsync ? "on" : "off" };
  await using source = await startCluster({ major: 15, settings: shared });
  await using target = await startCluster({ major: 18, settings: shared });
  const printAll = (lines: readonly string[]) => ["", ...lines].forEach((line) => print(line));
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
        `${direction}: ${Math.round(result.round.pauseMs)} ms, a writer waited ${
          Math.round(result.round.waitMs)
        } ms, predicted ${Math.round(result.round.predictedMs)} ms`,
      );
    }
    printAll(table(done));
  });
  if (await hasPgBouncer()) {
    await withCutoverPair({ source, target, schema }, async (pair) => {
      printAll(await switchBehindPgBouncer(pair, { rounds, report }));
    });
  }
  await withCutoverPair({ source, target, schema }, async (pair) => {
    printAll(await switchByHand(pair));
  });
  for (const cluster of [source, target]) await exec(cluster.url(), easyReplicate.roles);
  for (const otherRole of [false, true]) {
    await withCutoverPair({ source, target, schema }, async (pair) => {
      printAll(await switchByEasyReplicate(pair, { otherRole }));
    });
  }
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
  const waitMs = load.takeLongestMs();
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
      waitMs,
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
  const row = (name: string, values: readonly number[]) => [
    name,
    shareOf(values, 0.5),
    shareOf(values, 0.99),
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
        row("longest wait of a writer", rounds.map(({ waitMs }) => waitMs)),
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
  return [
    "The same by hand (read-only default, terminated sessions, positions equal, sequences not set):",
    `  acknowledged commits that the target lacks: ${problems.length}`,
    `  errors of writers: ${
      describeErrors(outcome.errors)
    }; transactions with unknown outcome: ${outcome.unknown.length}`,
  ];
}

/**
 * The statements of `pg_easy_replicate switchover` (d725ab2, lib/pg_easy_replicate/orchestrate.rb),
 * in their order: the gem itself needs versions of its dependencies that Debian does not have. Left
 * out are VACUUM ANALYZE and the waits of 5 s before anyone is stopped. There the subscription logs
 * in as the role whose sessions are terminated, and has to reconnect; here it does not.
 */
const easyReplicate = {
  roles:
    "CREATE ROLE app LOGIN IN ROLE pg_read_all_data, pg_write_all_data; CREATE ROLE batch LOGIN IN ROLE pg_read_all_data, pg_write_all_data",
  writable: "ALTER USER app RESET default_transaction_read_only",
  readOnly: "ALTER USER app SET default_transaction_read_only = true",
  terminate:
    "SELECT pg_terminate_backend(pg_stat_activity.pid) FROM pg_stat_activity WHERE usename = 'app'",
  lag: `SELECT pg_wal_lsn_diff(sent_lsn, write_lsn)::float8 AS write_lag,
               pg_wal_lsn_diff(sent_lsn, flush_lsn)::float8 AS flush_lag,
               pg_wal_lsn_diff(sent_lsn, replay_lsn)::float8 AS replay_lag
          FROM pg_stat_replication
         WHERE application_name = (SELECT slot_name FROM pg_replication_slots WHERE database = current_database())`,
  sequences: `
    DO $$
    DECLARE
    i TEXT;
    BEGIN
      FOR i IN (
        SELECT 'SELECT SETVAL('
            || quote_literal(quote_ident(PGT.schemaname) || '.' || quote_ident(S.relname))
            || ', COALESCE(MAX(' ||quote_ident(C.attname)|| '), 1) ) FROM '
            || quote_ident(PGT.schemaname)|| '.'||quote_ident(T.relname)|| ';'
          FROM pg_class AS S, pg_depend AS D, pg_class AS T, pg_attribute AS C, pg_tables AS PGT
         WHERE S.relkind = 'S' AND S.oid = D.objid AND D.refobjid = T.oid
           AND D.refobjid = C.attrelid AND D.refobjsubid = C.attnum AND T.relname = PGT.tablename
      ) LOOP
          EXECUTE i;
      END LOOP;
    END $$`,
} as const;

/** Writers learn of the target when the switchover is complete, as the operator tells them. */
async function switchByEasyReplicate(
  pair: CutoverPair,
  { otherRole }: { readonly otherRole: boolean },
): Promise<readonly string[]> {
  const as = (url: string, role: string) => {
    const changed = new URL(url);
    changed.username = role;
    changed.password = "";
    return String(changed);
  };
  // an earlier comparison has left it read-only, which has been copied
  for (const url of [pair.url, pair.targetUrl]) await exec(url, easyReplicate.writable);
  await exec(pair.url, "GRANT ALL ON SCHEMA public TO PUBLIC");
  const urls = [as(pair.url, "app")];
  const others = [as(pair.url, "batch")];
  const count = otherRole ? writers - 1 : writers;
  await using load = startAcknowledgedLoad(urls, { writers: count, pauseMs: 0 });
  await using batch = startAcknowledgedLoad(others, {
    writers: otherRole ? 1 : 0,
    // with 20 transactions a second the lag is never zero, and the switchover does not end
    pauseMs: 700,
    firstWriter: writers,
  });
  await load.more(1_000);
  load.takeLongestMs();
  await exec(pair.url, easyReplicate.readOnly);
  await query(pair.url, easyReplicate.terminate);
  if (!await hasNoLag(pair.url)) {
    return [
      `The statements of pg_easy_replicate switchover did not end within ${
        formatDuration(lagTimeoutMs)
      }: the lag was never zero, and writers were refused all the while`,
    ];
  }
  await exec(pair.targetUrl, easyReplicate.sequences);
  for (const { name } of await query<{ name: string }>(pair.targetUrl, ownSubscriptions)) {
    await exec(pair.targetUrl, `DROP SUBSCRIPTION IF EXISTS "${name}"`);
  }
  for (const each of [urls, others]) {
    each.unshift(as(pair.targetUrl, each === urls ? "app" : "batch"));
  }
  await load.more(500);
  const waitMs = load.takeLongestMs();
  const outcomes = [await load.stop(), await batch.stop()];
  const acknowledged = outcomes.flatMap((outcome) => outcome.acknowledged);
  const problems = await checkAcknowledged(pair.targetUrl, {
    acknowledged,
    unknown: outcomes.flatMap((outcome) => outcome.unknown),
  });
  const lost = problems.filter((problem) => /^ack .*: 0 times/.test(problem)).length;
  return [
    `The statements of pg_easy_replicate switchover, ${
      otherRole ? "one writer in another role" : "all writers in one role"
    }:`,
    `  acknowledged commits: ${acknowledged.length}; of these, the target lacks ${lost}`,
    `  longest time without a commit: ${Math.round(waitMs)} ms; errors of writers: ${
      describeErrors(outcomes[0]!.errors)
    }; transactions with unknown outcome: ${outcomes[0]!.unknown.length}`,
  ];
}

const ownSubscriptions = `
  SELECT s.subname AS name FROM pg_subscription AS s JOIN pg_database AS d ON d.oid = s.subdbid
   WHERE d.datname = current_database()`;

const lagTimeoutMs = 60_000;

async function hasNoLag(url: string): Promise<boolean> {
  const deadline = performance.now() + lagTimeoutMs;
  while (performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    const [lag] = await query<{ write_lag: number; flush_lag: number; replay_lag: number }>(
      url,
      easyReplicate.lag,
    );
    if (lag?.write_lag === 0 && lag.flush_lag === 0 && lag.replay_lag === 0) return true;
  }
  return false;
}
