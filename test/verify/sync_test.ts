/** verify() after `init --enable-sync`: what is replicated and what is not. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { readRuleFlags } from "../../lib/rules/internal.ts";
import { sharedCluster } from "../support/clusters.ts";
import { dropDatabase, withDatabase } from "../support/databases.ts";
import { runInit } from "../support/init.ts";
import { drain } from "../support/replicated.ts";
import { exec } from "../support/sql.ts";
import { syncSettings } from "../support/sync.ts";
import { runVerify, unequalTables } from "../support/verify.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);

const day = 24 * 60 * 60 * 1000;

Deno.test("verify() uses the time window of the copy, and reports what is not replicated", async () => {
  const copiedAt = "2026-01-01T00:00:00Z";
  const { rules } = readRuleFlags({
    includeTables: [],
    excludeTables: [],
    schemaOnlyTables: [],
    tableFilters: [],
    timeFilters: ["event:at:10 days"],
  });
  await withDatabase(source, undefined, async ({ name, url }) => {
    await exec(
      url,
      `CREATE TABLE event (id int PRIMARY KEY, at timestamptz NOT NULL);
       INSERT INTO event SELECT i, timestamptz '${copiedAt}' - i * interval '1 day' + interval '1 hour' FROM generate_series(1, 20) AS i;
       CREATE TABLE item (id serial PRIMARY KEY, v text); INSERT INTO item (v) VALUES ('a'), ('b');
       CREATE UNLOGGED TABLE cache (id int PRIMARY KEY, v text); INSERT INTO cache VALUES (1, 'a')`,
    );
    const copy = target.url({ database: name });
    try {
      await runInit(url, target.url(), {
        include: [name],
        rules: { ...rules, now: copiedAt },
        sync: { ...syncSettings, now: copiedAt },
      });
      await exec(url, "INSERT INTO item (v) VALUES ('c'); INSERT INTO cache VALUES (2, 'b')");
      await drain(url);
      // five days later
      const now = new Date(Date.parse(copiedAt) + 5 * day).toISOString();
      const verified = () => runVerify(url, copy, { rules: { ...rules, now } });
      const report = await verified();
      const [database] = report.databases;
      strictEqual(database?.live, true);
      const event = database.tables.find((table) => table.name === "event");
      deepStrictEqual([event?.sourceRows, event?.targetRows], [10, 10]);
      deepStrictEqual(
        unequalTables(report).map(({ name, reason }) => `${name}: ${reason}`),
        ["cache: it is not replicated"],
      );
      ok(report.notChecked.some(({ what, failed }) => what === "changes of cache" && !failed));
      const sequences = database.sections.find(({ section }) => section === "sequences");
      deepStrictEqual(sequences?.differences, []);
      deepStrictEqual(
        sequences.notes.map(({ object, reason }) => `${object}: ${reason}`),
        ["sequence item_id_seq: sequences are not replicated; cutover sets them"],
      );
      // a row outside the window as of today
      await exec(copy, "SET session_replication_role = replica; DELETE FROM event WHERE id = 9");
      deepStrictEqual(
        unequalTables(await verified()).map((table) => table.name).toSorted(),
        ["cache", "event"],
      );
    } finally {
      await dropDatabase(target, name);
    }
  });
});
