import { deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { FileCheckpointStore } from "../lib/checkpoint/mod.ts";
import type { InitReport } from "../lib/commands/report.ts";
import { ExitCode, ReplicatorError, UsageError } from "../lib/core/mod.ts";
import { sharedCluster } from "./support/clusters.ts";
import { dropDatabase } from "./support/databases.ts";
import { type InitTestOptions, runInit } from "./support/init.ts";
import { exec, query } from "./support/sql.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(16);

const rows =
  "CREATE TABLE t (id integer PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100);";
/** Rows that violate the table's own constraint: the target refuses them. */
const broken = `CREATE TABLE t (id integer);
  CREATE FUNCTION ok(integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
  ALTER TABLE t ADD CONSTRAINT c CHECK (ok(id));
  INSERT INTO t SELECT generate_series(1, 100);
  CREATE OR REPLACE FUNCTION ok(integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false';`;
const mended =
  "CREATE OR REPLACE FUNCTION ok(integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true'";

/** Databases of the source, by name, each made by a script; dropped on both sides in the end. */
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

Deno.test("a database that fails does not keep the others from being copied, and is resumed alone", async () => {
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
    await exec(target.url({ database: "many_b" }), mended);
    await run();
    equal(await rowsOf("many_b"), 100);
    const ledgers = await query(
      target.url({ database: "many_a" }),
      "SELECT FROM pg_namespace WHERE nspname ~ 'seren'",
    );
    equal(ledgers.length, 0);
  });
});

Deno.test("a database created on the source since the first attempt is copied as well", async () => {
  await withDatabases({ many_a: rows, many_b: broken }, async (run) => {
    await run().then(() => ok(false), () => {});
    await exec(source.url(), "CREATE DATABASE many_later TEMPLATE template0");
    await exec(source.url({ database: "many_later" }), rows);
    await exec(target.url({ database: "many_b" }), mended);
    const messages: string[] = [];
    await run({ onEvent: (event) => event.kind === "info" && messages.push(event.message) });
    match(messages.join("\n"), /^database many_later was created on the source since the first/m);
    deepEqual([await rowsOf("many_b"), await rowsOf("many_later")], [100, 100]);
  });
});

Deno.test("a database dropped on the source since the first attempt does not keep the rest from being resumed", async () => {
  await withDatabases({ many_a: rows, many_b: broken, many_c: broken }, async (run) => {
    await run().then(() => ok(false), () => {});
    await dropDatabase(source, "many_b");
    await exec(target.url({ database: "many_c" }), mended);
    const messages: string[] = [];
    await run({ onEvent: (event) => event.kind === "info" && messages.push(event.message) });
    match(
      messages.join("\n"),
      /^database many_b is no longer on the source; what was copied of it/m,
    );
    equal(await rowsOf("many_c"), 100);
  });
});

Deno.test("other options than those of the first attempt are refused before anything is measured", async () => {
  await withDatabases({ many_a: rows, many_b: broken }, async (run) => {
    await run().then(() => ok(false), () => {});
    const steps: string[] = [];
    const error = await run({
      include: ["many_b"],
      onEvent: (event) => event.kind === "step-started" && steps.push(event.step),
    }).then(() => undefined, (reason) => reason);
    ok(error instanceof UsageError, String(error));
    match(error.message, /database many_a was part of the first run/);
    match(error.remedy ?? "", /give its options to resume it, or --no-resume/);
    equal(steps.includes("estimate"), false);
  });
});
