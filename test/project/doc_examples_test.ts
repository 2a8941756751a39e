/** The examples in the documentation of the published modules, run as a reader would run them. */
import { strictEqual } from "node:assert/strict";
import { cleanup } from "../../mod.ts";
import { denoEnvironment, repository, runProgram } from "../support/cli.ts";
import { exec } from "../support/sql.ts";
import { startTestCluster } from "../support/test_cluster.ts";
import denoJson from "../../deno.json" with { type: "json" };

const app = `
  CREATE TABLE people (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
  CREATE TABLE sessions (id uuid PRIMARY KEY, person bigint REFERENCES people);
  CREATE TABLE audit_log (at timestamptz, what text);
  INSERT INTO people (name) SELECT 'person ' || i FROM generate_series(1, 1000) AS i;
  INSERT INTO sessions SELECT gen_random_uuid(), id FROM people;`;

const documented = [
  ...Object.values(denoJson.exports),
  ...["cleanup", "init", "resolve_options", "status", "sync", "validate", "verify"]
    .map((name) => `./lib/api/${name}.ts`),
  "./lib/checkpoint/file_store.ts",
  "./lib/postgres/connect/resolve_environment.ts",
];

Deno.test("every example in the documentation of the published modules runs", async (test) => {
  await using source = await startTestCluster({ major: 16, settings: { wal_level: "logical" } });
  await using target = await startTestCluster({ major: 18 });
  const urls = { source: source.url({ database: "app" }), target: target.url() };
  for (const file of documented) {
    if (!(await Deno.readTextFile(`${repository}${file}`)).includes("* ```ts")) continue;
    await test.step(file, async () => {
      await exec(source.url(), "CREATE DATABASE app");
      await exec(urls.source, app);
      try {
        await runExamples(file, urls);
      } finally {
        await cleanup(urls);
        await exec(source.url(), "DROP DATABASE app WITH (FORCE)");
        await exec(target.url(), "DROP DATABASE IF EXISTS app WITH (FORCE)");
      }
    });
  }
});

async function runExamples(
  file: string,
  { source, target }: { readonly source: string; readonly target: string },
): Promise<void> {
  const { code, stdout, stderr } = await runProgram(Deno.execPath(), [
    "test",
    "--doc",
    "--no-check", // `deno task docs` checks them
    "--quiet",
    "--lock=deno.lock",
    "--frozen",
    "--no-prompt",
    "-A",
    file,
  ], {
    cwd: repository,
    env: { ...denoEnvironment(), SOURCE_URL: source, TARGET_URL: target, NO_COLOR: "1" },
  });
  strictEqual(code, 0, `${stdout}\n${stderr}`);
}
