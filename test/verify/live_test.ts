/**
 * verify() between servers that are being written to: no false alarm, and every difference found.
 * The variable VERIFY_LIVE_SECONDS makes it go on for longer than a moment, VERIFY_LIVE_PACE_MS is
 * how long each writer rests between two transactions.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { busySchema, BusyWriters } from "../support/busy.ts";
import { sharedCluster } from "../support/clusters.ts";
import { withDatabase } from "../support/databases.ts";
import { endReplication, replicate, until } from "../support/replication.ts";
import { exec, query } from "../support/sql.ts";
import { VerifyJournal } from "../../lib/verify/internal.ts";
import { runVerify, unequalTables, type VerifyTestOptions } from "../support/verify.ts";
import type { VerifyReport } from "../../lib/commands/shared/report.ts";

const source = await sharedCluster(14);
const target = await sharedCluster(17);
const isLong = Deno.args.includes("--long");
const seconds = Number(Deno.env.get("VERIFY_LIVE_SECONDS") ?? (isLong ? 600 : 4));
const paceMs = Number(Deno.env.get("VERIFY_LIVE_PACE_MS") ?? 10);

/** Something that is made wrong on the target, and how `verify` has to tell it. */
interface Plant {
  readonly script: string;
  /** Of `table kind key`: the beginning, for the rest of a key may change meanwhile. */
  readonly told: string;
  /** On the target: `ok` when replication has put it right. */
  readonly healed?: string;
}

/**
 * One difference of every sort, in rows of which writers know nothing and in some that they change
 * all the time.
 */
function plants(round: number): readonly Plant[] {
  const at = (from: number, to: number) => from + (round * 7_919) % (to - from + 1);
  const [quiet, still, busy, event] = [at(1, 1_998), at(52, 98), at(200, 3_900), at(1, 3_000)];
  return [
    {
      script: `DELETE FROM account WHERE id = ${still}`,
      told: `account missing ${still}`,
    },
    {
      script: `UPDATE account SET v = 'wrong' WHERE id = ${still + 1}`,
      told: `account different ${still + 1}`,
    },
    // the source goes on updating it, which replication passes over
    { script: `DELETE FROM account WHERE id = ${busy}`, told: `account missing ${busy}` },
    {
      script: `INSERT INTO account (id, v) VALUES (${7_000 + round % 1_000}, 'extra')`,
      told: `account extra ${7_000 + round % 1_000}`,
    },
    {
      script: `UPDATE quiet SET v = v || ' ' WHERE id = ${quiet}`,
      told: `quiet different ${quiet}`,
    },
    {
      script: `UPDATE quiet SET v = CASE id WHEN ${quiet + 1} THEN NULL ELSE v END WHERE id = ${
        quiet + 1
      }`,
      told: `quiet different ${quiet + 1}`,
    },
    {
      script: "INSERT INTO journal (at, what, n) VALUES ('2000-01-01', 'never written', 0)",
      told: "journal extra ",
    },
    // the source changes the rest of its key; when that takes it to another partition it comes as a
    // new row
    {
      script: `DELETE FROM event WHERE k = 'k${event}'`,
      told: `event missing k${event},`,
      healed: `SELECT count(*) = 1 AS ok FROM event WHERE k = 'k${event}'`,
    },
    { script: "INSERT INTO event VALUES ('z', 3, 0)", told: "event_1 extra z,3" },
  ];
}

/** `table kind key` of every difference, sorted. */
function told(report: VerifyReport): readonly string[] {
  return unequalTables(report).flatMap(({ name, verdict, reason, differences }) =>
    differences.length === 0
      ? [`${name} ${verdict} ${reason}`]
      : differences.map(({ kind, key }) => `${name} ${kind} ${key.map(({ value }) => value)}`)
  ).toSorted();
}

/** What was told and not planted, and what was planted and not told. */
function compareTold(
  report: VerifyReport,
  planted: readonly Plant[],
): { readonly false: readonly string[]; readonly missed: readonly Plant[] } {
  const lines = told(report).map((line) => line.replace(/^event_\d missing/, "event missing"));
  const is = (line: string, plant: Plant) =>
    plant.told.endsWith(",") ? line.startsWith(plant.told) : line === plant.told;
  return {
    false: lines.filter((line) => !planted.some((plant) => is(line, plant))),
    missed: planted.filter((plant) => !lines.some((line) => is(line, plant))),
  };
}

Deno.test("verify() under load raises no false alarm, finds what is planted, and repairs it", async () => {
  await withDatabase(source, undefined, async (from) => {
    await withDatabase(target, undefined, async (to) => {
      for (const { url } of [from, to]) await exec(url, busySchema);
      const replication = await replicate(from.url, to.url);
      try {
        await exec(from.url, "ALTER TABLE quiet ADD UNIQUE (v)");
        await using writers = new BusyWriters(from.url, { paceMs });
        const start = performance.now();
        const counts = { runs: 0, settled: 0, planted: 0, found: 0, healed: 0, repaired: 0 };
        const wrong: string[] = [];
        const run = async (planted: readonly Plant[], options: VerifyTestOptions = {}) => {
          const report = await runVerify(from.url, to.url, { jobs: 2, ...options });
          counts.runs++;
          counts.settled += report.databases[0]!.tables.reduce(
            (sum, { settledRows }) => sum + settledRows,
            0,
          );
          strictEqual(report.databases[0]?.live, true);
          ok(report.databases[0]?.asOf !== undefined);
          const { false: alarms, missed } = compareTold(report, planted);
          wrong.push(...alarms.map((line) => `run ${counts.runs}, false alarm: ${line}`));
          counts.found += planted.length - missed.length;
          for (const { told, healed } of missed) {
            // before anything else is done to it: it was right when the run had ended
            const [row] = healed === undefined ? [] : await query(to.url, healed);
            if (row?.ok === true) counts.healed++;
            else wrong.push(`run ${counts.runs}, missed: ${told}`);
          }
          return report;
        };
        const line = () =>
          `${Math.round((performance.now() - start) / 1000)} s: ${
            Object.entries(counts).map(([name, count]) => `${count} ${name}`).join(", ")
          }, ${writers.transactions} transactions, ${wrong.length} wrong`;
        let toldAt = start;
        for (let round = 0; round === 0 || performance.now() - start < seconds * 1000; round++) {
          await run([]);
          const planted = plants(round);
          counts.planted += planted.length;
          await exec(
            to.url,
            `SET session_replication_role = replica; ${
              planted.map(({ script }) => script).join("; ")
            }`,
          );
          await run(planted);
          const { repair } = await run([], { repair: "follow" });
          counts.repaired += repair?.rows ?? 0;
          if (performance.now() - toldAt > 60_000) {
            toldAt = performance.now();
            console.error([line(), ...wrong].join("\n"));
          }
        }
        await run([]);
        console.error(line());
        deepStrictEqual(wrong, []);
        strictEqual(counts.found + counts.healed, counts.planted);
        ok(counts.repaired <= counts.found);
      } finally {
        await caughtUp(from.url, to.url, replication.name).finally(() =>
          endReplication(replication)
        );
      }
    });
  });
});

/** Does something at once, while nothing else in this process goes on. */
function execAtOnce(url: string, script: string): void {
  const program = `import { exec } from "${import.meta.resolve("../support/sql.ts")}";
    await exec(Deno.args[0], Deno.args[1]);`;
  const folder = Deno.makeTempDirSync({ prefix: "psr-at-once-" });
  try {
    Deno.writeTextFileSync(`${folder}/program.ts`, program);
    const { success } = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--no-prompt",
        "--config",
        "deno.json",
        `${folder}/program.ts`,
        url,
        script,
      ],
      stdout: "null",
      stderr: "inherit",
    }).outputSync();
    ok(success);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

Deno.test("verify() finds a missing row that moves from a piece that is yet to be read to one that was", async () => {
  await withDatabase(source, undefined, async (from) => {
    await withDatabase(target, undefined, async (to) => {
      const rows = 24_000;
      for (const { url } of [from, to]) {
        await exec(
          url,
          `CREATE TABLE moving (id int PRIMARY KEY, v text);
           INSERT INTO moving SELECT i, repeat(md5(i::text), 16) FROM generate_series(1, ${rows}) AS i; ANALYZE moving`,
        );
      }
      const replication = await replicate(from.url, to.url);
      try {
        await exec(
          to.url,
          `SET session_replication_role = replica; DELETE FROM moving WHERE id IN (${rows - 1}, ${
            rows - 5
          })`,
        );
        let pieces = 0;
        const move = (line: string) => {
          if (!line.startsWith('{"kind":"chunk"') || pieces++ > 0) return;
          execAtOnce(from.url, `UPDATE moving SET id = -id WHERE id >= ${rows - 5}`);
        };
        const journal = new VerifyJournal({ text: "", append: move, now: () => new Date() });
        const report = await runVerify(from.url, to.url, { jobs: 1, journal });
        ok(pieces > 1, "the table is read in one piece");
        deepStrictEqual(
          unequalTables(report).flatMap(({ differences }) =>
            differences.map(({ kind, key }) => `${kind} ${key[0]?.value}`)
          ).toSorted(),
          [`missing -${rows - 5}`, `missing -${rows - 1}`],
        );
      } finally {
        await endReplication(replication);
      }
    });
  });
});

/** Both sides at rest hold the same, told by plain SQL. */
async function caughtUp(from: string, to: string, name: string): Promise<void> {
  const [row] = await query(from, "SELECT pg_current_wal_insert_lsn()::text AS lsn");
  await exec(from, "CREATE TABLE flush_it ()");
  await until(
    from,
    `SELECT confirmed_flush_lsn >= '${row?.lsn}' AS ok FROM pg_replication_slots WHERE slot_name = '${name}'`,
  );
  for (const table of ["account", "journal", "event", "quiet"]) {
    const sum = `SELECT count(*) AS n, sum(hashtextextended(t::text, 0)) AS s FROM ${table} AS t`;
    deepStrictEqual(await query(from, sum), await query(to, sum), table);
  }
}
