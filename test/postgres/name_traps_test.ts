/**
 * Runs every command against databases full of better matches for every name in the tool's SQL,
 * with a `search_path` that finds them first: none of them may run. The traps are derived from what
 * `deno task sql` finds, so new SQL is covered.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { Cluster, PgMajor } from "../../lib/cluster/mod.ts";
import { runCli } from "../support/cli.ts";
import { runInit } from "../support/init.ts";
import { withRepeats } from "../support/long.ts";
import { setNameTraps, sprungPattern } from "../support/name_traps.ts";
import { exec } from "../support/sql.ts";
import { startTestCluster } from "../support/test_cluster.ts";

const tables = `
  CREATE SCHEMA app;
  CREATE TABLE app.items (id bigint PRIMARY KEY, name pg_catalog.text, at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
    amount numeric, tags pg_catalog.text[], data pg_catalog.jsonb, raw pg_catalog.bytea, day pg_catalog.date, kind pg_catalog.uuid);
  INSERT INTO app.items SELECT n, 'item ' || n, pg_catalog.now() - pg_catalog.make_interval(days => n::int), n / 3.0, ARRAY['a', 'b'],
    '{"a": 1}', '\\x00ff', '2020-01-01', pg_catalog.md5(n::pg_catalog.text)::pg_catalog.uuid
    FROM pg_catalog.generate_series(1, 500) AS n;
  CREATE INDEX ON app.items (name);
  CREATE SEQUENCE app.numbers; SELECT pg_catalog.nextval('app.numbers');
  CREATE TABLE app.lines (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, item bigint REFERENCES app.items);
  INSERT INTO app.lines (item) SELECT n FROM pg_catalog.generate_series(1, 500) AS n;
  CREATE TABLE app.months (id int, month int, PRIMARY KEY (id, month)) PARTITION BY RANGE (month);
  CREATE TABLE app.months_1 PARTITION OF app.months FOR VALUES FROM (0) TO (6);
  CREATE TABLE app.months_2 PARTITION OF app.months FOR VALUES FROM (6) TO (13);
  INSERT INTO app.months SELECT n, n % 12 FROM pg_catalog.generate_series(1, 100) AS n;
  CREATE MATERIALIZED VIEW app.totals AS SELECT pg_catalog.count(*) AS total FROM app.months;
  SELECT pg_catalog.lo_from_bytea(0, 'large');`;

/** The URL for the test itself, whose names resolve to the built-in ones. */
function quiet(cluster: Cluster, database: string): string {
  return cluster.url({ database, params: { search_path: "pg_catalog" } });
}

/** Sets traps in every database of a server, including those created later. */
async function prepare(cluster: Cluster): Promise<void> {
  const traps = await setNameTraps(cluster.url({ database: "template1" }));
  ok(traps.functions > 200 && traps.operators > 150, JSON.stringify(traps));
  ok(traps.types > 8 && traps.relations > 30, JSON.stringify(traps));
  const maintenance = quiet(cluster, "template1");
  await exec(maintenance, "DROP DATABASE postgres");
  await exec(maintenance, "CREATE DATABASE postgres");
  await exec(maintenance, "CREATE DATABASE app");
  await exec(
    maintenance,
    `ALTER DATABASE postgres SET search_path = public, pg_catalog;
     ALTER DATABASE app SET search_path = public, pg_catalog;
     ALTER ROLE postgres SET search_path = public, pg_catalog;`,
  );
}

async function sprung(...clusters: readonly Cluster[]): Promise<readonly string[]> {
  const logs = await Promise.all(clusters.map((cluster) => cluster.log()));
  return logs.flatMap((log) => log.match(sprungPattern) ?? []);
}

async function runAll(source: Cluster, target: Cluster): Promise<void> {
  const env = {
    SOURCE_URL: source.url({ database: "app" }),
    TARGET_URL: target.url({ database: "app" }),
  };
  const run = async (expected: readonly number[], command: string, ...args: readonly string[]) => {
    const { code, stdout, stderr } = await runCli([command, "--include-databases=app", ...args], {
      env,
    });
    const what = `${command} ${args.join(" ")} ended with ${code}\n${stdout}\n${stderr}`;
    deepStrictEqual(await sprung(source, target), [], what);
    ok(expected.includes(code), what);
  };
  const rules = [
    "--table-filter=app.app.items:id < 400 AND name LIKE 'item%'",
    "--time-filter=app.app.items:at:5 years",
    "--schema-only-tables=app.app.lines",
    "--map=app=filtered",
  ];
  await run([3], "validate"); // the target is not empty
  await run([3], "init", "--yes");
  await exec(quiet(target, "template1"), "DROP DATABASE app");
  await run([0], "validate", "--explain-rules");
  await run([0], "init", "--yes", "--split-tables-larger-than=1MB", ...rules);
  await run([0, 9], "verify", ...rules);
  await run([0], "init", "--yes", "--enable-sync");
  await run([0], "sync");
  await run([0], "status", "--check");
  await run([0], "status", "--prometheus");
  await run([0], "verify");
  await exec(
    quiet(target, "app"),
    "UPDATE app.items SET name = 'other' WHERE id = 7; DELETE FROM app.lines WHERE id = 9",
  );
  await run([6], "verify");
  await run([0], "verify", "--repair", "--yes");
  await exec(
    quiet(source, "app"),
    "CREATE TABLE app.later (id int PRIMARY KEY); INSERT INTO app.later VALUES (1)",
  );
  await run([0], "sync", "--add-tables=*", "--yes");
  await run([0], "sync", "--resnapshot=app.items", "--yes");
  await run([0], "verify");
  await run([0], "cleanup", "--dry-run");
  await run([0], "cleanup", "--yes");
  await runInit(env.SOURCE_URL, env.TARGET_URL, { include: ["app"], dropExisting: true });
  deepStrictEqual(await sprung(source, target), [], "init --drop-existing");
  await run([0], "verify");
}

const pairs = withRepeats<readonly [PgMajor, PgMajor]>([[12, 18]], [[12, 15], [18, 18]]);
for (const [from, to] of pairs) {
  Deno.test(`no command runs a function, operator or type of the database (${from} to ${to})`, async () => {
    await using source = await startTestCluster({ major: from });
    await using target = await startTestCluster({ major: to });
    await prepare(source);
    await prepare(target);
    await exec(quiet(source, "app"), tables);
    deepStrictEqual(await sprung(source, target), [], "by the test itself");
    await runAll(source, target);
    // proof that the traps work: an ordinary session with unqualified names runs into one
    await exec(source.url({ database: "app" }), "SELECT lower('A')").catch(() => {});
    strictEqual((await sprung(source)).length, 1);
  });
}
