/** `cutover prepare` gives the target the source's current planner statistics. */
import { deepStrictEqual, notDeepStrictEqual } from "node:assert/strict";
import { executeCutoverPrepare } from "../../lib/commands/cutover/prepare.ts";
import { readRuleFlags } from "../../lib/rules/internal.ts";
import { sharedCluster } from "../support/clusters.ts";
import { quietRun, withCutoverPair } from "../support/cutover_pair.ts";
import { exec, query } from "../support/sql.ts";

const source = await sharedCluster(15, { settings: { wal_level: "logical" } });
const target = await sharedCluster(18, { settings: { wal_level: "logical", autovacuum: "off" } });

const statistics = `
  SELECT attname, n_distinct, most_common_vals::text, most_common_freqs::text, histogram_bounds::text
    FROM pg_stats WHERE tablename = 'skewed' ORDER BY attname`;

const prepare = {
  fence: "triggers" as const,
  wayBack: "none",
  targetFromSource: undefined,
  passfile: undefined,
  now: new Date(0).toISOString(),
  confirm: () => Promise.resolve(true),
} as const;

Deno.test("prepare refreshes the target's statistics, and analyzes tables with extended ones", async () => {
  const schema = `
    CREATE TABLE skewed (id int PRIMARY KEY, kind int) WITH (autovacuum_enabled = off);
    INSERT INTO skewed SELECT i, i % 3 FROM generate_series(1, 500) AS i;
    CREATE TABLE paired (id int PRIMARY KEY, a int, b int) WITH (autovacuum_enabled = off);
    INSERT INTO paired SELECT i, i % 5, i % 5 FROM generate_series(1, 500) AS i;
    CREATE STATISTICS pair (dependencies) ON a, b FROM paired; ANALYZE`;
  await withCutoverPair({ source, target, schema }, async ({ url, targetUrl, servers }) => {
    await exec(url, "INSERT INTO skewed SELECT i, 7 FROM generate_series(501, 2500) AS i");
    await exec(url, "ANALYZE skewed");
    const expected = await query(url, statistics);
    notDeepStrictEqual(await query(targetUrl, statistics), expected);
    const report = await executeCutoverPrepare({ ...servers, ...prepare }, quietRun);
    deepStrictEqual(await query(targetUrl, statistics), expected);
    deepStrictEqual(report?.databases[0]?.statistics, {
      from: "source",
      carried: 1,
      analyzed: [{ schema: "public", name: "paired", reason: "extended" }],
    });
    deepStrictEqual(
      await query(
        targetUrl,
        "SELECT analyze_count::int AS n FROM pg_stat_user_tables WHERE relname = 'paired'",
      ),
      [{ n: 2 }], // by init, and again
    );
  });
});

Deno.test("with predicates, prepare analyzes instead: the source's statistics are of other rows", async () => {
  const schema =
    `CREATE TABLE skewed (id int PRIMARY KEY, kind int) WITH (autovacuum_enabled = off);
    INSERT INTO skewed SELECT i, i % 3 FROM generate_series(1, 500) AS i; ANALYZE`;
  const { rules } = readRuleFlags({
    includeTables: [],
    excludeTables: [],
    schemaOnlyTables: [],
    tableFilters: ["skewed:id <= 100"],
    timeFilters: [],
  });
  const now = "2025-12-31T00:00:00.000Z";
  await withCutoverPair({ source, target, schema, rules: { ...rules, now } }, async (pair) => {
    const report = await executeCutoverPrepare({ ...pair.servers, ...prepare }, quietRun);
    deepStrictEqual(report?.databases[0]?.statistics, {
      from: "source",
      carried: 0,
      analyzed: [{ schema: "public", name: "skewed", reason: "partial" }],
    });
  });
});
