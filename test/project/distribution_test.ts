/**
 * The three distributions: the executable, the bundle from a URL, and the modules from JSR.
 */
import { deepStrictEqual, doesNotMatch, match, ok, strictEqual } from "node:assert/strict";
import { join } from "node:path";
import denoJson from "../../deno.json" with { type: "json" };
import { embeddedDumpModule } from "../../lib/schema/internal.ts";
import { gzippedTar } from "../../scripts/release/archive.ts";
import { bundleLock } from "../../scripts/release/bundle_lock.ts";
import { artefactName, platforms } from "../../scripts/release/platforms.ts";
import { findRuntime } from "../../scripts/release/runtime.ts";
import { denoEnvironment, npmCache, repository, runProgram } from "../support/cli.ts";
import { sharedCluster } from "../support/clusters.ts";
import { withDatabase } from "../support/databases.ts";
import { startJsrRegistry } from "../support/jsr_registry.ts";
import { Running } from "../support/running.ts";
import { openTestService } from "../support/service.ts";
import { exec, query } from "../support/sql.ts";
import { StaticServer } from "../support/static_server.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);

const rows = 20_000;
const schema = `
  CREATE TABLE people (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, born date);
  CREATE TABLE pets (id int PRIMARY KEY, keeper bigint REFERENCES people, props jsonb);
  CREATE INDEX ON pets USING gin (props);
  INSERT INTO people (name, born) SELECT 'näme ' || i, date '1950-01-01' + i % 20000 FROM generate_series(1, ${rows}) i;
  INSERT INTO pets SELECT i, i, jsonb_build_object('n', i) FROM generate_series(1, ${rows / 2}) i;`;

/** A checksum of all rows of both tables. */
const checksum = `
  SELECT md5(string_agg(line, '|' ORDER BY line)) AS sum FROM (
    SELECT people::text AS line FROM people UNION ALL SELECT pets::text FROM pets) AS lines`;

/** Creates a database on the source, copies it with `init`, and compares. */
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

/** A folder outside the repository and the home directory. */
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

/** The runtime for executables; undefined, with the reason printed, if a helper has none. */
const runtime = await findRuntime().catch((error) => void console.log(String(error)));
if (runtime === undefined) {
  console.log(
    "      skipped: DENORT_BIN is not set, so the executable is neither built nor tested",
  );
}

let compiled: Promise<string> | undefined;

/** The executable, compiled once for all tests of this file. */
function executable(): Promise<string> {
  return compiled ??= runTask("compile", { DENORT_BIN: runtime ?? "" })
    .then(() => join(repository, "dist/postgres-seren-replicator"));
}

Deno.test({
  name: "the executable runs from another folder in an empty environment and copies a database",
  ignore: runtime === undefined,
  fn: async () => {
    const program = await executable();
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

Deno.test({
  name: "the executable is at most 15 MB larger than the runtime",
  ignore: runtime === undefined,
  fn: async () => {
    const { size } = await Deno.stat(await executable());
    const { size: runtimeSize } = await Deno.stat(runtime ?? "");
    ok(size - runtimeSize <= 15e6, `${size - runtimeSize} bytes`);
  },
});

Deno.test({
  name: "install.sh installs the executable in a clean home, where it runs by its name",
  ignore: runtime === undefined,
  fn: async () => {
    const name = "postgres-seren-replicator";
    const platform = platforms.find(({ triple }) => triple === Deno.build.target)!;
    const share = ["man/man1/NAME.1", "completions/NAME.bash", "completions/_NAME"];
    const archive = await gzippedTar([
      {
        path: `${name}/bin/${name}`,
        content: await Deno.readFile(await executable()),
        executable: true,
      },
      ...[...share, "completions/NAME.fish"].map((path) => ({
        path: `${name}/share/${path.replace("NAME", name)}`,
        content: new Uint8Array(),
      })),
    ]);
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", archive as BufferSource));
    const files: Readonly<Record<string, string | Uint8Array>> = {
      [`/${artefactName(platform)}`]: archive,
      "/SHA256SUMS": `${digest.toHex()}  ${artefactName(platform)}\n`,
    };
    await using server = new StaticServer((path) => Promise.resolve(files[path]));
    await withFolder(async (home) => {
      const script = join(repository, "deploy/install.sh");
      const bin = join(home, ".local/bin");
      const env = { HOME: home, PATH: `${bin}:/usr/bin:/bin` };
      const installed = await runProgram("sh", [script], {
        env: { ...env, SEREN_RELEASE_URL: server.url.slice(0, -1) },
      });
      strictEqual(installed.code, 0, installed.stderr);
      const { code, stdout, stderr } = await runProgram(
        "sh",
        ["-c", `${name} validate --json --source "$0" --target "$1"`, source.url(), target.url()],
        { env },
      );
      ok(code === 0 || code === 3, stderr);
      ok(JSON.parse(stdout).checks.length > 5);
    });
  },
});

Deno.test({
  name: "serve, worker, keys and jobs run from the executable, and a job copies a database",
  ignore: runtime === undefined,
  fn: async () => {
    const program = await executable();
    await withFolder(async (cwd) => {
      await withDatabase(target, undefined, async ({ url: database }) => {
        // only the variables it needs, and none of Deno's
        const own = { SEREN_DATABASE_URL: database, TMPDIR: cwd };
        const keepers = ["--key-file", join(cwd, "keys"), "--allow-address", "127.0.0.0/8"];
        await using serve = new Running(["serve", "--listen", "127.0.0.1:0", ...keepers], own, {
          executable: program,
        });
        const [, url = ""] = await serve.says(/listening on (http:\S+)/);
        strictEqual((await (await fetch(`${url}/healthz`)).json()).version, denoJson.version);
        match(await (await fetch(url)).text(), /<!doctype html>/i);
        await using worker = new Running(["worker", ...keepers], own, { executable: program });
        await worker.says(/accepting jobs from the queues small, medium, large, huge/);
        const run = (args: readonly string[], env: Record<string, string>) =>
          runProgram(program, args, { cwd, env });
        const made = await run(["keys", "create", "--owner", "alice"], own);
        strictEqual(made.code, 0, made.stderr);
        const client = { SEREN_REMOTE_API: url, SEREN_API_KEY: made.stdout.trim() };

        await copying(async (name, env) => {
          const args = ["init", "--yes", "--json", "--include-databases", name];
          const { code, stdout, stderr } = await run(args, { ...client, ...env });
          strictEqual(code, 0, stderr + serve.output + worker.output);
          strictEqual(JSON.parse(stdout).rows, rows * 1.5);
        });

        const listed = await run(["jobs", "list", "--json"], client);
        const jobs: { id: string; command: string; state: string; exit_code: number }[] = JSON
          .parse(listed.stdout);
        deepStrictEqual(
          jobs.map(({ command, state, exit_code }) => [command, state, exit_code]),
          [["init", "succeeded", 0]],
        );
        const logs = await run(["jobs", "logs", jobs[0]!.id], client);
        match(logs.stdout, /copied people, 20,000 rows[^]*succeeded, exit code 0/);
        const attached = await run(["jobs", "attach", jobs[0]!.id], client);
        strictEqual(attached.code, 0, attached.stderr);
        const keys = await run(["keys", "list", "--json"], own);
        strictEqual(JSON.parse(keys.stdout)[0].owner, "alice");
        deepStrictEqual(await Promise.all([serve.kill("SIGTERM"), worker.kill("SIGTERM")]), [0, 0]);
      });
      // the key file, and the folder of workspaces, empty; Deno's executables keep compiled code in
      // the temporary folder
      const left = (await Array.fromAsync(Deno.readDir(cwd))).map(({ name }) => name)
        .filter((name) => !name.startsWith("deno-compile-")).toSorted();
      deepStrictEqual(left, ["keys", "postgres-seren-replicator-jobs"]);
      deepStrictEqual(await Array.fromAsync(Deno.readDir(join(cwd, left[1]!))), []);
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
    await writeBundleLock(join(cwd, "cli.lock.json"), { url: `${server.url}cli.js`, bundle });
    await copying(async (name, env) => {
      const variables = ["SOURCE_URL", "TARGET_URL", "PGAPPNAME", "PGTARGETSESSIONATTRS"];
      const { code, stdout, stderr } = await runProgram(Deno.execPath(), [
        "run",
        "--quiet",
        "--no-prompt",
        "--no-config",
        "--lock=cli.lock.json",
        "--frozen",
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

/** The lock file that a release has beside the bundle. */
async function writeBundleLock(
  path: string,
  { url, bundle }: { readonly url: string; readonly bundle: Uint8Array<ArrayBuffer> },
): Promise<void> {
  const digest = await crypto.subtle.digest("SHA-256", bundle);
  const text = bundleLock({
    url,
    sha256: new Uint8Array(digest).toHex(),
    specifier: embeddedDumpModule.slice(0, embeddedDumpModule.lastIndexOf("/")),
    lock: JSON.parse(await Deno.readTextFile(join(repository, "deno.lock"))),
  });
  await Deno.writeTextFile(path, text);
}

Deno.test("a bundle other than the released one is refused by its lock file", async () => {
  const bundle = new TextEncoder().encode("console.log('released');");
  let served = bundle;
  await using server = new StaticServer(() => Promise.resolve(served));
  await withFolder(async (cwd) => {
    const url = `${server.url}cli.js`;
    await writeBundleLock(join(cwd, "cli.lock.json"), { url, bundle });
    const run = () =>
      runProgram(Deno.execPath(), [
        ...["run", "--no-config", "--no-prompt", "--reload", "--lock=cli.lock.json", "--frozen"],
        url,
      ], { cwd, env: { ...denoEnvironment(), NO_COLOR: "1" } });
    strictEqual((await run()).stdout, "released\n");
    served = new TextEncoder().encode("console.log('changed');");
    const { code, stdout, stderr } = await run();
    strictEqual(stdout, "");
    ok(code !== 0);
    match(stderr, /integrity check failed/i);
  });
});

Deno.test("a program that imports the package from a JSR registry copies a table", async () => {
  await using registry = await startJsrRegistry();
  await withFolder(async (cwd) => {
    await Deno.writeTextFile(
      join(cwd, "consumer.ts"),
      `import { openSession, relayCopies, resolveEndpoint } from "jsr:@seren/postgres-replicator@${denoJson.version}/postgres";
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

Deno.test("a program that imports the client from a JSR registry runs a job with one permission, without loading the service", async () => {
  await using registry = await startJsrRegistry();
  await withFolder(async (cwd) => {
    await Deno.writeTextFile(
      join(cwd, "consumer.ts"),
      `import { type JobSpecInput, readJobSpec, RemoteClient } from "jsr:@seren/postgres-replicator@${denoJson.version}/remote";
       const [url, apiKey] = Deno.args;
       const spec: JobSpecInput = {
         schema_version: "1.0",
         command: "validate",
         source_url: "postgresql://u@127.0.0.1:1/a",
         target_url: "postgresql://u@127.0.0.1:1/b",
         filters: { include_databases: ["a"] },
       };
       const wrong = readJobSpec({ ...spec, source_url: "postgresql://host/db; DROP TABLE users;" });
       console.log(wrong.problems.map(({ path }) => path).join());
       const client = new RemoteClient({
         url: url!, apiKey: apiKey!, traceId: "0".repeat(31) + "1", signal: new AbortController().signal,
       });
       const { id } = await client.submit(spec);
       await client.cancel(id);
       for await (const message of client.follow(id)) console.log(message.kind, "state" in message ? message.state : "");
       console.log((await client.job(id)).exit_code);`,
    );
    const env = { ...denoEnvironment(), NO_COLOR: "1", JSR_URL: registry.url };
    await withDatabase(target, undefined, async ({ url }) => {
      await using service = await openTestService(url);
      const alice = await service.key("alice");
      const { code, stdout, stderr } = await runProgram(Deno.execPath(), [
        "run",
        "--no-prompt",
        "--no-config",
        "--check",
        `--allow-net=${new URL(service.service.url).host}`,
        "consumer.ts",
        service.service.url,
        alice.key,
      ], { cwd, env });
      strictEqual(code, 0, stderr);
      strictEqual(
        stdout,
        "source_url\nstate queued\nstate cancelled\nend cancelled\n130\n",
      );
    });
    const info = await runProgram(
      Deno.execPath(),
      ["info", "--json", "--no-config", "consumer.ts"],
      {
        cwd,
        env,
      },
    );
    const packages = Object.keys(JSON.parse(info.stdout).npmPackages);
    ok(packages.some((name) => name.startsWith("zod@")), info.stdout.slice(0, 500));
    ok(!packages.some((name) => /^(hono|@hono|pg-boss)/.test(name)), packages.join());
  });
});
