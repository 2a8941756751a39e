/** The three ways of use, each as a user would: the executable, the bundle from a URL, the modules from JSR. */
import { doesNotMatch, match, ok, strictEqual } from "node:assert/strict";
import { join } from "node:path";
import denoJson from "../deno.json" with { type: "json" };
import { denoEnvironment, npmCache, repository, runProgram } from "./support/cli.ts";
import { sharedCluster } from "./support/clusters.ts";
import { withDatabase } from "./support/databases.ts";
import { startJsrRegistry } from "./support/jsr_registry.ts";
import { exec, query } from "./support/sql.ts";
import { StaticServer } from "./support/static_server.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);

const rows = 20_000;
const schema = `
  CREATE TABLE people (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, born date);
  CREATE TABLE pets (id int PRIMARY KEY, keeper bigint REFERENCES people, props jsonb);
  CREATE INDEX ON pets USING gin (props);
  INSERT INTO people (name, born) SELECT 'näme ' || i, date '1950-01-01' + i % 20000 FROM generate_series(1, ${rows}) i;
  INSERT INTO pets SELECT i, i, jsonb_build_object('n', i) FROM generate_series(1, ${rows / 2}) i;`;

/** All rows of both tables as one checksum. */
const checksum = `
  SELECT md5(string_agg(line, '|' ORDER BY line)) AS sum FROM (
    SELECT people::text AS line FROM people UNION ALL SELECT pets::text FROM pets) AS lines`;

/** Makes a database on the source, lets `init` copy it, and compares. */
async function copying(
  init: (name: string, env: Record<string, string>) => Promise<void>,
): Promise<void> {
  await withDatabase(source, undefined, async ({ name, url }) => {
    await exec(url, schema);
    try {
      await init(name, { SOURCE_URL: url, TARGET_URL: target.url() });
      const [expected] = await query(url, checksum);
      const [actual] = await query(target.url({ database: name }), checksum);
      strictEqual(actual?.["sum"], expected?.["sum"]);
      const [keys] = await query(
        target.url({ database: name }),
        `SELECT count(*)::int AS n FROM pg_constraint
         WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'f') AND convalidated`,
      );
      strictEqual(keys?.["n"], 3);
    } finally {
      await exec(target.url(), `DROP DATABASE IF EXISTS "${name}"`);
    }
  });
}

/** A folder that is neither the repository nor the home. */
async function withFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await Deno.makeTempDir({ prefix: "psr-distribution-" });
  try {
    return await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function runTask(task: string, env: Record<string, string> = {}): Promise<void> {
  const { code, stderr } = await runProgram(Deno.execPath(), ["task", task], {
    cwd: repository,
    env: { ...denoEnvironment(), ...env },
  });
  strictEqual(code, 0, stderr);
}

/** The runtime for executables: given, or from the machine's helper; undefined where there is neither. */
async function denort(): Promise<string | undefined> {
  const given = Deno.env.get("DENORT_BIN");
  if (given !== undefined) return given;
  const helper = join(repository, "../shared/tools/denort");
  try {
    const { code, stdout, stderr } = await runProgram(helper, [], { env: Deno.env.toObject() });
    if (code === 0) return stdout.trim();
    console.log(stderr);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return undefined;
}

const runtime = await denort();
if (runtime === undefined) {
  console.log("      skipped: no DENORT_BIN here, so the executable is not built and tested");
}

Deno.test({
  name: "the executable runs from another folder in an empty environment and copies a database",
  ignore: runtime === undefined,
  fn: async () => {
    await runTask("compile", { DENORT_BIN: runtime ?? "" });
    const program = join(repository, "dist/postgres-seren-replicator");
    await withFolder(async (cwd) => {
      const run = (args: readonly string[], env: Record<string, string> = {}) =>
        runProgram(program, args, { cwd, env });

      strictEqual((await run(["--version"])).stdout, `${denoJson.version}\n`);
      match((await run(["--help"])).stdout, /A first migration/);
      const nowhere = "postgresql://me:secret@127.0.0.1:1/app";
      const failing = await run(["validate", "--source", nowhere, "--target", target.url()]);
      strictEqual(failing.code, 4);
      match(failing.stderr, /nothing listens there/);
      doesNotMatch(failing.stderr, /secret/);

      for (const tool of ["auto", "embedded"]) {
        await copying(async (name, env) => {
          const args = [
            "init",
            "--yes",
            "--json",
            "--include-databases",
            name,
            "--dump-tool",
            tool,
          ];
          const { code, stdout, stderr } = await run(args, env);
          strictEqual(code, 0, stderr);
          strictEqual(JSON.parse(stdout).rows, rows * 1.5);
        });
      }
      strictEqual((await Array.fromAsync(Deno.readDir(cwd))).length, 0);
    });
  },
});

Deno.test("the bundle runs from a URL with the documented permissions and copies a database", async () => {
  await runTask("bundle");
  const bundle = await Deno.readFile(join(repository, "dist/cli.js"));
  await using server = new StaticServer((path) =>
    Promise.resolve(path === "/cli.js" ? bundle : undefined)
  );
  await withFolder(async (cwd) => {
    await copying(async (name, env) => {
      const variables = ["SOURCE_URL", "TARGET_URL", "PGAPPNAME", "PGTARGETSESSIONATTRS"];
      const { code, stdout, stderr } = await runProgram(Deno.execPath(), [
        "run",
        "--quiet",
        "--no-prompt",
        "--no-config",
        `--allow-net=127.0.0.1:${source.port},127.0.0.1:${target.port}`,
        `--allow-env=${variables.join(",")}`,
        // for the embedded pg_dump
        `--allow-read=${await npmCache()}`,
        `${server.url}cli.js`,
        ...["init", "--yes", "--json", "--include-databases", name],
      ], { cwd, env: { ...denoEnvironment(), ...env } });
      strictEqual(code, 0, stderr);
      strictEqual(JSON.parse(stdout).rows, rows * 1.5);
    });
  });
});

Deno.test("a program that imports the package from a JSR registry copies a table", async () => {
  await using registry = await startJsrRegistry();
  await withFolder(async (cwd) => {
    await Deno.writeTextFile(
      join(cwd, "consumer.ts"),
      `import { openSession, relayCopies, resolveEndpoint } from "jsr:@seren/postgres-replicator@${denoJson.version}";
       const [from, to] = Deno.args;
       await using source = await openSession(await resolveEndpoint(from!, { side: "source" }));
       await using target = await openSession(await resolveEndpoint(to!, { side: "target" }));
       const jobs = [{ name: "people", copyOut: "COPY public.people TO STDOUT", copyIn: "COPY public.people FROM STDIN", expectedBytes: 0 }];
       await relayCopies(source, target, {
         next: () => jobs.shift(),
         onFinished: (job, { rows }) => console.log(job.name + " " + rows),
       });`,
    );
    await withDatabase(source, undefined, async (from) => {
      await withDatabase(target, undefined, async (to) => {
        await exec(from.url, schema);
        await exec(to.url, "CREATE TABLE people (id bigint, name text, born date)");
        const { code, stdout, stderr } = await runProgram(Deno.execPath(), [
          "run",
          "--no-prompt",
          "--no-config",
          "--check",
          `--allow-net=127.0.0.1:${source.port},127.0.0.1:${target.port}`,
          `--allow-env=PGAPPNAME,PGTARGETSESSIONATTRS`,
          "consumer.ts",
          from.url,
          to.url,
        ], { cwd, env: { ...denoEnvironment(), NO_COLOR: "1", JSR_URL: registry.url } });
        strictEqual(code, 0, stderr);
        strictEqual(stdout, `people ${rows}\n`);
        const [count] = await query(to.url, "SELECT count(*)::int AS n FROM people");
        strictEqual(count?.["n"], rows);
        ok(stderr.includes("Download") || stderr.includes("Check"), "came from the registry");
      });
    });
  });
});
