/**
 * DDL on the source during replication is reported before and after it stops the stream, with the
 * statement to run.
 */
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { type Case, withCase } from "../support/case.ts";
import { sharedCluster } from "../support/clusters.ts";

const source = await sharedCluster(15, { programs: "embedded" });
const target = await sharedCluster(18);
const servers = { source, target };
const file = "39-sync-enum-label.sql";

/** Runs the statement contained in a message on the target. */
async function runOnTarget(it: Case, text: string): Promise<void> {
  const [statement] = /ALTER (?:TYPE|DOMAIN|TABLE) [^;]*;/.exec(text) ?? [];
  ok(statement !== undefined, text);
  await it.ask("target", statement);
}

async function problems(it: Case): Promise<readonly { message: string; remedy: string }[]> {
  const { findings } = await it.status();
  return findings.filter(({ id }) => /^(?:enum|domain|type|column)-/.test(id));
}

Deno.test("[39] status reports a new label before it stops the stream, and sync afterwards", async () => {
  await withCase(file, servers, async (it) => {
    await it.initWithSync();
    await it.ask("source", "ALTER TYPE st ADD VALUE 'It''s' BEFORE 'b'");
    const [early] = await problems(it);
    match(early?.message ?? "", /lab\.s: the target's type st lacks the label 'It's'/);
    match(early?.remedy ?? "", /ALTER TYPE "public"\."st" ADD VALUE 'It''s' AFTER 'a';/);
    strictEqual((await it.status()).healthy, false);
    const { report: { warnings } } = await it.sync();
    match(warnings.map(({ remedy }) => remedy).join("\n"), /ADD VALUE 'It''s' AFTER 'a';/);
    await runOnTarget(it, early?.remedy ?? "");
    deepStrictEqual(await problems(it), []);

    await it.stream();
    strictEqual(await it.drain(), "stuck");
    let cause = "";
    await rejects(it.sync(), (error: Error & { details?: readonly string[] }) => {
      cause = error.details?.find((line) => line.includes("cause:")) ?? "";
      return true;
    });
    match(
      cause,
      /cause: the target's type st lacks the label 'c': ALTER TYPE "public"\."st" ADD VALUE 'c' AFTER 'b';/,
    );
    await runOnTarget(it, cause);
    strictEqual(await it.drain(), "drained");
    deepStrictEqual(await it.differences(), []);
    strictEqual(
      (await it.status()).findings.filter(({ severity }) => severity === "problem").length,
      0,
    );
  });
});

Deno.test("[39] renamed labels, attributes, domains, lengths and NOT NULL are reported, each with a working statement", async () => {
  const setup = `
    CREATE TYPE col AS ENUM ('x', 'y'); CREATE TYPE "Pair" AS (a int, b col[]);
    CREATE DOMAIN d AS int CHECK (VALUE > 0);
    CREATE TABLE many (id int PRIMARY KEY, p "Pair", d d, v varchar(3), n int NOT NULL);`;
  const rewrite = (script: string) => script.replace("-- STREAM", `${setup}\n-- STREAM`);
  await withCase(file, { ...servers, rewrite }, async (it) => {
    await it.initWithSync();
    for (
      const sql of [
        "ALTER TYPE col RENAME VALUE 'y' TO 'z'",
        'ALTER TYPE "Pair" ADD ATTRIBUTE c text',
        "ALTER DOMAIN d DROP CONSTRAINT d_check",
        "ALTER TABLE many ALTER v TYPE varchar(9)",
        "ALTER TABLE many ALTER n DROP NOT NULL",
        "ALTER TABLE many ADD COLUMN fresh numeric(4, 2)",
      ]
    ) await it.ask("source", sql);
    const found = await problems(it);
    deepStrictEqual(found.length, 6);
    for (const { remedy } of found) await runOnTarget(it, remedy);
    deepStrictEqual(await problems(it), []);
    await it.ask(
      "source",
      `INSERT INTO many VALUES (1, '(1,"{x,z}",t)', -1, 'nine char', NULL, 1.5)`,
    );
    strictEqual(await it.drain(), "drained");
    deepStrictEqual(await it.differences(), []);
  });
});

Deno.test("[39] the diagnosis names values that columns of the target reject", async () => {
  const setup = "CREATE TABLE few (id int PRIMARY KEY, v varchar(3), n int NOT NULL, a st[]);";
  const rewrite = (script: string) => script.replace("-- STREAM", `${setup}\n-- STREAM`);
  await withCase(file, { ...servers, rewrite }, async (it) => {
    await it.initWithSync();
    await it.ask("source", "INSERT INTO few VALUES (1, 'a', 1, NULL)");
    strictEqual(await it.drain(), "drained");
    await it.ask("source", "ALTER TABLE few ALTER v TYPE text, ALTER n DROP NOT NULL");
    await it.ask("source", "ALTER TYPE st ADD VALUE 'new one'");
    await it.ask("source", `UPDATE few SET v = 'longer', n = NULL, a = '{a,"new one"}'`);
    strictEqual(await it.drain(), "stuck");
    await rejects(it.sync(), (error: Error & { details?: readonly string[] }) => {
      const causes = (error.details ?? []).filter((line) => line.includes("cause:")).join("\n");
      match(causes, /few\.v is limited to 3 characters/);
      match(causes, /few\.n is NOT NULL on the target/);
      match(causes, /lacks the label 'new one': ALTER TYPE/);
      return true;
    });
  });
});
