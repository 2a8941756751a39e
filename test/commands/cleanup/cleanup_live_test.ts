/** What cleanup must not remove during a run, and must remove after one was killed. */
import { deepStrictEqual, match, rejects, strictEqual } from "node:assert/strict";
import { noTableRules, readRuleFlags } from "../../../lib/rules/internal.ts";
import { cliCommand, denoEnvironment, runCli } from "../../support/cli.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { withDatabase } from "../../support/databases.ts";
import { runInit } from "../../support/init.ts";
import { drain } from "../../support/replicated.ts";
import { exec, query } from "../../support/sql.ts";
import { syncSettings } from "../../support/sync.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(17);

const someRows = `
  CREATE TABLE a (id int PRIMARY KEY, v text);
  INSERT INTO a SELECT n, 'a' FROM generate_series(1, 100) AS n;`;

Deno.test("cleanup refuses while init is running, and removes everything after it was killed", async () => {
  const folder = await Deno.makeTempDir({ prefix: "psr-cleanup-" });
  await withDatabase(source, undefined, async ({ name, url }) => {
    const targetUrl = target.url({ database: name });
    await exec(url, someRows);
    await exec(target.url(), `CREATE DATABASE "${name}"`);
    try {
      await exec(
        url,
        "CREATE TABLE wide AS SELECT n, repeat(md5(n::text), 20) AS t FROM generate_series(1, 200000) AS n",
      );
      const env = { SOURCE_URL: source.url(), TARGET_URL: target.url() };
      const init = new Deno.Command(Deno.execPath(), {
        args: [
          ...cliCommand,
          "init",
          "--yes",
          "--enable-sync",
          "--replica-identity=full",
          "--max-rate=1MB",
          "--log-format=json",
          `--include-databases=${name}`,
        ],
        cwd: folder,
        clearEnv: true,
        env: { ...denoEnvironment(), ...env },
        stdin: "null",
        stdout: "null",
        stderr: "piped",
      }).spawn();
      const lines = init.stderr.pipeThrough(new TextDecoderStream()).getReader();
      for (let text = ""; !text.includes('"table-progress"') && !text.includes('"step":"data"');) {
        const { value, done } = await lines.read();
        if (done) throw new Error(text);
        text = (text + value).slice(-100_000);
      }
      const cleanup = () => runCli(["cleanup", "--yes", `--include-databases=${name}`], { env });
      const refused = await cleanup();
      strictEqual(refused.code, 3, refused.stderr);
      match(refused.stderr, /another run is copying into this database: session \d+/);
      init.kill("SIGKILL");
      await init.status;
      await lines.cancel();
      const [row] = await query(
        source.url(),
        "SELECT count(*)::int AS count FROM pg_replication_slots",
      );
      strictEqual(row?.["count"], 1);
      let removed = await cleanup();
      // the server may take a moment to notice that the run's session has ended
      for (let attempt = 0; removed.code === 3 && attempt < 50; attempt++) {
        removed = await cleanup();
      }
      strictEqual(removed.code, 0, removed.stderr);
      deepStrictEqual(await query(source.url(), "SELECT FROM pg_replication_slots"), []);
      deepStrictEqual(await query(url, "SELECT FROM pg_publication"), []);
      deepStrictEqual(
        await query(targetUrl, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'seren%'"),
        [],
      );
      deepStrictEqual(
        await query(url, "SELECT relname FROM pg_class WHERE relreplident = 'f'"),
        [],
      );
    } finally {
      await exec(target.url(), `DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`);
      await Deno.remove(folder, { recursive: true });
    }
  });
});

Deno.test("init --drop-existing refuses a database that replicates with another scope", async () => {
  await withDatabase(
    source,
    undefined,
    ({ name, url }) =>
      withDatabase(target, undefined, async (copy) => {
        await exec(url, `${someRows} CREATE TABLE b (id int PRIMARY KEY)`);
        const run = (more: Parameters<typeof runInit>[2] = {}) =>
          runInit(url, copy.url, { include: [name], sync: syncSettings, ...more });
        await run();
        const { rules, problems } = readRuleFlags({
          includeTables: [],
          excludeTables: [`${name}.b`],
          schemaOnlyTables: [],
          tableFilters: [],
          timeFilters: [],
        });
        deepStrictEqual(problems, []);
        await rejects(
          run({ dropExisting: true, rules: { ...rules, now: noTableRules.now } }),
          /follows a source with another scope/,
        );
        await exec(url, "INSERT INTO a VALUES (-1, 'later')");
        await drain(url);
        strictEqual((await query(copy.url, "SELECT FROM a")).length, 101);
        strictEqual((await query(source.url(), "SELECT FROM pg_replication_slots")).length, 1);
      }),
  );
});
