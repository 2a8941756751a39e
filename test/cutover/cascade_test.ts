import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { noTableRules, readRuleFlags, type TableRules } from "../../lib/rules/internal.ts";
import { sharedCluster } from "../support/clusters.ts";
import { prepareCutover, switchCutover, withCutoverPair } from "../support/cutover_pair.ts";
import type { CutoverPreparePlan } from "../../lib/commands/cutover/report.ts";
import { drain } from "../support/replicated.ts";
import { syncSettings } from "../support/sync.ts";
import { query, withSession } from "../support/sql.ts";
import { outcome, outcomeOf, pidOf, READ_ONLY, untilWaiting } from "./_facts.ts";
import { runCutover } from "./run_program.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);

const schema = `
  CREATE TABLE parent (id int PRIMARY KEY, note text);
  CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE);
  CREATE TABLE orphan (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE SET NULL);
  CREATE TABLE parted (id int, parent int REFERENCES parent ON DELETE CASCADE) PARTITION BY LIST (id);
  CREATE TABLE parted_1 PARTITION OF parted DEFAULT;
  INSERT INTO parent SELECT n, '' FROM generate_series(1, 8) AS n;
  INSERT INTO child VALUES (1, 1), (2, 2);
  INSERT INTO orphan VALUES (3, 3);
  INSERT INTO parted VALUES (4, 4);`;

const contents = `
  SELECT array_agg(r ORDER BY r)::text AS rows FROM (
    SELECT 'child ' || id || ' ' || parent FROM child UNION ALL
    SELECT 'orphan ' || id || ' ' || coalesce(parent::text, 'null') FROM orphan UNION ALL
    SELECT 'parted ' || id || ' ' || parent FROM parted) AS all_rows (r)`;

Deno.test("a parent that is left out cannot change fenced tables through its foreign keys", async () => {
  await withCutoverPair({ source, target, schema, rules: rules("*.parent") }, async (pair) => {
    const plans: CutoverPreparePlan[] = [];
    await prepareCutover(pair, {
      confirm: (plan) => {
        plans.push(plan);
        return Promise.resolve(true);
      },
    });
    match(
      plans[0]!.warnings.map(({ message }) => message).join("\n"),
      /foreign keys carry changes of tables that are left out into replicated tables: child → parent \(child_parent_fkey\), orphan → parent .*, parted → parent/,
    );
    const before = await query(pair.url, contents);
    await withSession(pair.url, async (late) => {
      const pid = await pidOf(late);
      let ended = Promise.resolve("never begun");
      const { code, error } = await runCutover({
        command: "run",
        sourceUrl: pair.url,
        targetUrl: pair.targetUrl,
        databases: [pair.name],
        maxPauseMs: 20_000,
      }, {
        point: "begin fence 1",
        halts: true,
        act: async () => {
          // waits for the barrier, and finds the fence
          ended = outcome(late, "DELETE FROM parent WHERE id = 1");
          await untilWaiting(pair.url, pid);
        },
      });
      strictEqual(code, 0, error);
      strictEqual(await ended, READ_ONLY);
    });
    const free = "SET default_transaction_read_only = off;";
    for (
      const write of [
        "DELETE FROM parent WHERE id = 2",
        "UPDATE parent SET id = 12 WHERE id = 2",
        "DELETE FROM parent WHERE id = 3",
        "DELETE FROM parent WHERE id = 4",
      ]
    ) {
      strictEqual(await outcomeOf(pair.url, `${free} COMMIT; ${write}`), READ_ONLY, write);
    }
    // the sessions were not merely read-only
    strictEqual(await outcomeOf(pair.url, `${free} COMMIT; UPDATE parent SET note = 'x'`), "done");
    for (const url of [pair.url, pair.targetUrl]) {
      deepStrictEqual(await query(url, contents), before);
    }
    await switchCutover("rollback", pair);
    strictEqual(await outcomeOf(pair.url, "DELETE FROM parent WHERE id = 2"), "done");
  });
});

Deno.test("a table that is left out and refers to a replicated one is reported: its rows may lose theirs", async () => {
  await withCutoverPair(
    { source, target, schema, rules: rules("*.orphan", "*.child") },
    async (pair) => {
      await prepareCutover(pair);
      const report = await switchCutover("run", pair);
      const warnings = report!.warnings.join("\n");
      match(
        warnings,
        /tables that are left out have foreign keys to replicated tables: child → parent \(child_parent_fkey\), orphan → parent/,
      );
      strictEqual(/carry changes of tables/.test(warnings), false);
      // that is what happens
      await query(pair.targetUrl, "DELETE FROM parent WHERE id = 3");
      await drain(pair.targetUrl);
      deepStrictEqual(await query(pair.url, "SELECT parent FROM orphan"), [{ parent: 3 }]);
      deepStrictEqual(await query(pair.url, "SELECT FROM parent WHERE id = 3"), []);
    },
  );
});

function rules(...excludeTables: readonly string[]): TableRules {
  const { rules } = readRuleFlags({
    includeTables: [],
    excludeTables: [...excludeTables],
    schemaOnlyTables: [],
    tableFilters: [],
    timeFilters: [],
  });
  return { ...noTableRules, ...rules, now: syncSettings.now };
}
