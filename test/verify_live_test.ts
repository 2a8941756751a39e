/**
 * verify() between servers that are being written to: no false alarm, and every difference found. The variable VERIFY_LIVE_SECONDS makes it
 * go on for longer than a moment.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { busySchema, BusyWriters } from "./support/busy.ts";
import { sharedCluster } from "./support/clusters.ts";
import { withDatabase } from "./support/databases.ts";
import { endReplication, replicate, until } from "./support/replication.ts";
import { exec, query } from "./support/sql.ts";
import { VerifyJournal } from "../lib/verify/mod.ts";
import { rowsVerdict, runVerify, unequalTables } from "./support/verify.ts";

const source = await sharedCluster(14);
const target = await sharedCluster(17);
const seconds = Number(Deno.env.get("VERIFY_LIVE_SECONDS") ?? 4);

const planted = `
  SET session_replication_role = replica;
  DELETE FROM account WHERE id = 60; UPDATE account SET v = 'wrong' WHERE id = 61; INSERT INTO account (id, v) VALUES (7000, 'extra');
  DELETE FROM event WHERE k = 'k5' AND v < 0; UPDATE quiet SET v = v || ' ' WHERE id IN (1, 1999);
  INSERT INTO journal (at, what, n) VALUES ('2000-01-01', 'never written', 0)`;

Deno.test("verify() under load raises no false alarm, finds what is planted, and repairs it", async () => {
  await withDatabase(source, undefined, async (from) => {
    await withDatabase(target, undefined, async (to) => {
      for (const { url } of [from, to]) await exec(url, busySchema);
      const replication = await replicate(from.url, to.url);
      try {
        await exec(from.url, "ALTER TABLE quiet ADD UNIQUE (v)");
        await using writers = new BusyWriters(from.url);
        const start = performance.now();
        let [runs, settled] = [0, 0];
        do {
          const report = await runVerify(from.url, to.url, { jobs: 2 });
          deepStrictEqual(unequalTables(report), [], `run ${runs + 1}`);
          strictEqual(report.databases[0]?.live, true);
          ok(report.databases[0]?.asOf !== undefined);
          settled += report.databases[0]!.tables.reduce((sum, table) => sum + table.settledRows, 0);
          runs++;
        } while (performance.now() - start < seconds * 1000);
        await exec(to.url, planted);
        const found = await runVerify(from.url, to.url);
        deepStrictEqual(
          unequalTables(found).flatMap(({ name, differences }) =>
            differences.map(({ kind, key }) => `${name} ${kind} ${key.map(({ value }) => value)}`)
          ).toSorted(),
          [
            "account different 61",
            "account extra 7000",
            "account missing 60",
            "journal extra ",
            "quiet different 1",
            "quiet different 1999",
          ],
        );
        const repaired = await runVerify(from.url, to.url, { repair: "follow" });
        deepStrictEqual(unequalTables(repaired), []);
        strictEqual(repaired.repair?.rows, 6);
        strictEqual(rowsVerdict(await runVerify(from.url, to.url)), "equal");
        console.error(
          `${runs} runs, ${settled} rows settled, ${writers.transactions} transactions`,
        );
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
  const program = `import { exec } from "${import.meta.resolve("./support/sql.ts")}";
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
