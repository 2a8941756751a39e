import { deepEqual, match, notDeepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { FileCheckpointStore } from "../../../lib/checkpoint/internal.ts";
import type { InitReport } from "../../../lib/commands/shared/init_report.ts";
import { ExitCode, ReplicatorError, UsageError } from "../../../lib/core/internal.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { dropDatabase } from "../../support/databases.ts";
import { type InitTestOptions, runInit } from "../../support/init.ts";
import { cliCommand, denoEnvironment, runProgram } from "../../support/cli.ts";
import { exec, query } from "../../support/sql.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(16);

const rows =
  "CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100);";
/** Rows that violate the table's own constraint, so the target rejects them. */
const broken = `CREATE TABLE t (id integer);
  CREATE FUNCTION ok(integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
  ALTER TABLE t ADD CONSTRAINT c CHECK (ok(id));
  INSERT INTO t SELECT generate_series(1, 100);
  CREATE OR REPLACE FUNCTION ok(integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false';`;
const fixed =
  "CREATE OR REPLACE FUNCTION ok(integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true'";

/** Creates databases on the source, each from a script; drops them on both sides afterwards. */
async function withDatabases(
  scripts: Readonly<Record<string, string>>,
  test: (run: (options?: InitTestOptions) => Promise<unknown>) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  const create = async (name: string, script: string) => {
    await exec(source.url(), `CREATE DATABASE ${name} TEMPLATE template0`);
    await exec(source.url({ database: name }), script);
  };
  for (const [name, script] of Object.entries(scripts)) await create(name, script);
  try {
    await test((options) =>
      runInit(source.url(), target.url(), {
        checkpoint: (operation) => new FileCheckpointStore(operation, `${folder}/state`),
        ...options,
      })
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
    const names = (url: string) =>
      query<{ name: string }>(
        url,
        "SELECT datname AS name FROM pg_database WHERE datname LIKE 'many\\_%'",
      );
    for (const cluster of [source, target]) {
      for (const { name } of await names(cluster.url())) await dropDatabase(cluster, name);
    }
  }
}

async function rowsOf(database: string): Promise<number> {
  return (await query(target.url({ database }), "SELECT FROM public.t")).length;
}

Deno.test("a failed database does not prevent the others from being copied, and is resumed alone", async () => {
  await withDatabases({ many_a: rows, many_b: broken, many_c: rows }, async (run) => {
    let unfinished: InitReport | undefined;
    const onUnfinished = (report: InitReport) => {
      unfinished = report;
      return Promise.resolve();
    };
    const error = await run({ onUnfinished }).then(() => undefined, (reason) => reason);
    ok(error instanceof ReplicatorError, String(error));
    equal(error.exitCode, ExitCode.stepFailed);
    match(error.message, /^1 database of 3 failed: many_b; 2 were copied$/);
    match(error.details.join("\n"), /^database many_b:\n.*check constraint "c"/);
    match(error.remedy ?? "", /run the same command again/);
    deepEqual([await rowsOf("many_a"), await rowsOf("many_c")], [100, 100]);
    deepEqual(unfinished?.databases.map(({ source }) => source), ["many_a", "many_c", "many_b"]);
    await exec(target.url({ database: "many_b" }), fixed);
    await run();
    equal(await rowsOf("many_b"), 100);
    const ledgers = await query(
      target.url({ database: "many_a" }),
      "SELECT FROM pg_namespace WHERE nspname ~ 'seren'",
    );
    equal(ledgers.length, 0);
  });
});

/**
 * A materialized view that finds its table only under the database's own search_path, so it is set
 * aside.
 */
const lacking = `${rows}
  CREATE FUNCTION counted() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM t); END';
  CREATE MATERIALIZED VIEW m AS SELECT counted() AS n;`;

const oidOf = (name: string) =>
  query(target.url(), `SELECT oid::text FROM pg_database WHERE datname = '${name}'`);

Deno.test("--no-resume keeps databases whose copy is complete, and copies failed ones from the start", async () => {
  await withDatabases(
    { many_a: rows, many_b: broken, many_c: lacking },
    async (run) => {
      await run().then(() => ok(false), () => {});
      const kept = ["many_a", "many_c"];
      for (const database of kept) {
        await exec(target.url({ database }), "INSERT INTO t VALUES (101)");
      }
      const before = await Promise.all([...kept, "many_b"].map(oidOf));
      await exec(source.url({ database: "many_b" }), fixed);
      await run({ resume: false });
      const after = await Promise.all([...kept, "many_b"].map(oidOf));
      deepEqual(after.slice(0, 2), before.slice(0, 2));
      notDeepEqual(after[2], before[2]);
      deepEqual([await rowsOf("many_a"), await rowsOf("many_b"), await rowsOf("many_c")], [
        101,
        100,
        101,
      ]);
      // and dropped on request
      await run({ resume: false, dropExisting: true });
      deepEqual([await rowsOf("many_a"), await rowsOf("many_c")], [100, 100]);
    },
  );
});

Deno.test("objects missing in copied databases are reported even if another database failed", async () => {
  await withDatabases({ many_a: lacking, many_b: broken }, async () => {
    const folder = await Deno.makeTempDir();
    try {
      const init = async (...more: readonly string[]) =>
        await runProgram(Deno.execPath(), [
          ...cliCommand,
          ...["init", "--source", source.url(), "--target", target.url(), "--yes"],
          ...["--dump-tool", "embedded", ...more],
        ], { env: denoEnvironment(), cwd: folder });
      const text = await init();
      equal(text.code, ExitCode.stepFailed, text.stderr);
      match(
        text.stdout,
        /^many_a: complete except for 1 object:\n✗ many_a: MATERIALIZED VIEW DATA/,
      );
      const json = await init("--json");
      equal(json.code, ExitCode.stepFailed, json.stderr);
      const { error, databases } = JSON.parse(json.stdout);
      match(error.message, /^1 database of 2 failed: many_b/);
      deepEqual(
        databases.map(({ source, setAside }: InitReport["databases"][number]) => [
          source,
          setAside?.map(({ object }) => object),
        ]),
        [["many_a", ["MATERIALIZED VIEW DATA public.m"]]],
      );
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
});

Deno.test("a database created on the source since the first attempt is copied as well", async () => {
  await withDatabases({ many_a: rows, many_b: broken }, async (run) => {
    await run().then(() => ok(false), () => {});
    await exec(source.url(), "CREATE DATABASE many_later TEMPLATE template0");
    await exec(source.url({ database: "many_later" }), rows);
    await exec(target.url({ database: "many_b" }), fixed);
    const messages: string[] = [];
    await run({ onEvent: (event) => event.kind === "info" && messages.push(event.message) });
    match(messages.join("\n"), /^database many_later was created on the source since the first/m);
    deepEqual([await rowsOf("many_b"), await rowsOf("many_later")], [100, 100]);
  });
});

Deno.test("a database dropped on the source since the first attempt does not prevent the rest from being resumed", async () => {
  await withDatabases({ many_a: rows, many_b: broken, many_c: broken }, async (run) => {
    await run().then(() => ok(false), () => {});
    await dropDatabase(source, "many_b");
    await exec(target.url({ database: "many_c" }), fixed);
    const messages: string[] = [];
    await run({ onEvent: (event) => event.kind === "info" && messages.push(event.message) });
    match(
      messages.join("\n"),
      /^database many_b is no longer on the source; what was copied of it/m,
    );
    equal(await rowsOf("many_c"), 100);
  });
});

Deno.test("options that differ from those of the first attempt are refused before tables are measured", async () => {
  await withDatabases({ many_a: rows, many_b: broken }, async (run) => {
    await run().then(() => ok(false), () => {});
    const steps: string[] = [];
    const error = await run({
      include: ["many_b"],
      onEvent: (event) => event.kind === "step-started" && steps.push(event.step),
    }).then(() => undefined, (reason) => reason);
    ok(error instanceof UsageError, String(error));
    match(error.message, /database many_a was part of the first run/);
    match(error.remedy ?? "", /use its options to resume it, or --no-resume/);
    equal(steps.includes("estimate"), false);
  });
});
