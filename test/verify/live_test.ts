/**
 * verify() between servers under write load: no false alarms, and every difference found.
 * VERIFY_LIVE_SECONDS sets the duration, VERIFY_LIVE_PACE_MS the pause of each writer between
 * transactions.
 */
import { isLong } from "../support/long.ts";
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { busySchema, BusyWriters } from "../support/busy.ts";
import { sharedCluster } from "../support/clusters.ts";
import { withDatabase } from "../support/databases.ts";
import { endReplication, replicate, until } from "../support/replication.ts";
import { exec, query } from "../support/sql.ts";
import { VerifyJournal } from "../../lib/verify/internal.ts";
import { runVerify, unequalTables, type VerifyTestOptions } from "../support/verify.ts";
import type { VerifyReport } from "../../lib/commands/shared/verify_report.ts";

const source = await sharedCluster(14);
const target = await sharedCluster(17);
const seconds = Number(Deno.env.get("VERIFY_LIVE_SECONDS") ?? (isLong ? 600 : 4));
const paceMs = Number(Deno.env.get("VERIFY_LIVE_PACE_MS") ?? 10);

/** A difference made on the target, and how `verify` must report it. */
interface Plant {
  readonly script: string;
  /** `table kind key`, or a prefix of it if the rest of the key may change. */
  readonly reported: string;
  /** A query on the target that returns `ok` if replication has undone the difference. */
  readonly healed?: string;
}

/**
 * One difference of every kind, in rows that the writers never touch and in rows they keep
 * changing.
 */
function plants(round: number): readonly Plant[] {
  const at = (from: number, to: number) => from + (round * 7_919) % (to - from + 1);
  const [quiet, still, busy, event] = [at(1, 1_998), at(52, 98), at(200, 3_900), at(1, 3_000)];
  return [
    {
      script: `DELETE FROM account WHERE id = ${still}`,
      reported: `account missing ${still}`,
    },
    {
      script: `UPDATE account SET v = 'wrong' WHERE id = ${still + 1}`,
      reported: `account different ${still + 1}`,
    },
    // the source keeps updating it, which replication skips
    { script: `DELETE FROM account WHERE id = ${busy}`, reported: `account missing ${busy}` },
    {
      script: `INSERT INTO account (id, v) VALUES (${7_000 + round % 1_000}, 'extra')`,
      reported: `account extra ${7_000 + round % 1_000}`,
    },
    {
      script: `UPDATE quiet SET v = v || ' ' WHERE id = ${quiet}`,
      reported: `quiet different ${quiet}`,
    },
    {
      script: `UPDATE quiet SET v = CASE id WHEN ${quiet + 1} THEN NULL ELSE v END WHERE id = ${
        quiet + 1
      }`,
      reported: `quiet different ${quiet + 1}`,
    },
    {
      script: "INSERT INTO journal (at, what, n) VALUES ('2000-01-01', 'never written', 0)",
      reported: "journal extra ",
    },
    // the source changes the rest of its key; when that moves it to another partition, it is
    // replicated as a new row
    {
      script: `DELETE FROM event WHERE k = 'k${event}'`,
      reported: `event missing k${event},`,
      healed: `SELECT count(*) = 1 AS ok FROM event WHERE k = 'k${event}'`,
    },
    { script: "INSERT INTO event VALUES ('z', 3, 0)", reported: "event_1 extra z,3" },
  ];
}

/** `table kind key` of every difference, sorted. */
function reportedBy(report: VerifyReport): readonly string[] {
  return unequalTables(report).flatMap(({ name, verdict, reason, differences }) =>
    differences.length === 0
      ? [`${name} ${verdict} ${reason}`]
      : differences.map(({ kind, key }) => `${name} ${kind} ${key.map(({ value }) => value)}`)
  ).toSorted();
}

/** What was reported but not planted, and what was planted but not reported. */
function compareWithPlanted(
  report: VerifyReport,
  planted: readonly Plant[],
): { readonly false: readonly string[]; readonly missed: readonly Plant[] } {
  const lines = reportedBy(report).map((line) =>
    line.replace(/^event_\d missing/, "event missing")
  );
  const is = (line: string, plant: Plant) =>
    plant.reported.endsWith(",") ? line.startsWith(plant.reported) : line === plant.reported;
  return {
    false: lines.filter((line) => !planted.some((plant) => is(line, plant))),
    missed: planted.filter((plant) => !lines.some((line) => is(line, plant))),
  };
}

Deno.test("verify() under load raises no false alarms, and finds and repairs every planted difference", async () => {
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
          const { false: alarms, missed } = compareWithPlanted(report, planted);
          wrong.push(...alarms.map((line) => `run ${counts.runs}, false alarm: ${line}`));
          counts.found += planted.length - missed.length;
          for (const { reported, healed } of missed) {
            // nothing else has touched the row, so it was already equal when the run ended
            const [row] = healed === undefined ? [] : await query(to.url, healed);
            if (row?.ok === true) counts.healed++;
            else wrong.push(`run ${counts.runs}, missed: ${reported}`);
          }
          return report;
        };
        const line = () =>
          `${Math.round((performance.now() - start) / 1000)} s: ${
            Object.entries(counts).map(([name, count]) => `${count} ${name}`).join(", ")
          }, ${writers.transactions} transactions, ${wrong.length} wrong`;
        let loggedAt = start;
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
          if (performance.now() - loggedAt > 60_000) {
            loggedAt = performance.now();
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

/** Executes a script synchronously, blocking this process. */
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

Deno.test("verify() finds a missing row that moves from an unread chunk to one already read", async () => {
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
        let chunks = 0;
        const move = (line: string) => {
          if (!line.startsWith('{"kind":"chunk"') || chunks++ > 0) return;
          execAtOnce(from.url, `UPDATE moving SET id = -id WHERE id >= ${rows - 5}`);
        };
        const journal = new VerifyJournal({ text: "", append: move, now: () => new Date() });
        const report = await runVerify(from.url, to.url, { jobs: 1, journal });
        ok(chunks > 1, "the table was read in one chunk");
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

/** Waits until the target has caught up, and compares both sides in plain SQL. */
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
