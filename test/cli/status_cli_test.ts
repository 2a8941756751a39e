/** `status` as used on a terminal, in scripts and by monitoring. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { statusFormProblems, statusJsonSchema } from "../../lib/commands/status/schema.ts";
import { cliCommand, denoEnvironment, repository, runCli } from "../support/cli.ts";
import { sharedCluster } from "../support/clusters.ts";
import { withDatabase } from "../support/databases.ts";
import { parsePrometheus } from "../support/prometheus.ts";
import { endReplication, replicate, type Replication, until } from "../support/replication.ts";
import { exec, query } from "../support/sql.ts";
import { hasTmux, TerminalProgram } from "../support/tmux.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);

async function withReplication(
  use: (
    replication: Replication,
    env: { readonly SOURCE_URL: string; readonly TARGET_URL: string },
  ) => Promise<void>,
): Promise<void> {
  await withDatabase(source, undefined, async (a) => {
    await withDatabase(target, undefined, async (b) => {
      for (const { url } of [a, b]) await exec(url, "CREATE TABLE t (id int PRIMARY KEY, v text)");
      const replication = await replicate(a.url, b.url);
      try {
        await streaming(replication);
        await use(replication, { SOURCE_URL: a.url, TARGET_URL: b.url });
      } finally {
        await endReplication(replication);
      }
    });
  });
}

async function streaming({ sourceUrl, name }: Replication): Promise<void> {
  await until(
    sourceUrl,
    `SELECT active AND confirmed_flush_lsn >= pg_current_wal_flush_lsn() - 1024 AS ok
       FROM pg_replication_slots WHERE slot_name = '${name}'`,
  );
}

Deno.test("docs/reference/status.schema.json is the schema that the code checks", async () => {
  const text = await Deno.readTextFile(`${repository}docs/reference/status.schema.json`);
  deepStrictEqual(JSON.parse(text), JSON.parse(JSON.stringify(statusJsonSchema())));
});

Deno.test("status prints tables, JSON that matches the schema, and metrics; a failed --check exits with 7 and gives the reason", async () => {
  await withReplication(async ({ name, targetUrl, sourceUrl }, env) => {
    const [text, json, prometheus, good] = await Promise.all([
      runCli(["status", "--include-databases", "*"], { env }),
      runCli(["status", "--json"], { env }),
      runCli(["status", "--prometheus"], { env }),
      runCli(["status", "--check", "--max-lag-bytes", "1GB", "--max-lag-seconds", "60"], { env }),
    ]);
    strictEqual(text.code, 0, text.stderr);
    match(text.stdout, new RegExp(`${name} +streaming +`));
    match(text.stdout, /✓ healthy/);
    const report = JSON.parse(json.stdout);
    deepStrictEqual(statusFormProblems(report), []);
    strictEqual(report.databases[0].streams[0].name, name);
    const metrics = parsePrometheus(prometheus.stdout);
    const labels = report.databases[0];
    strictEqual(
      metrics.get("seren_replication_state", {
        stream: name,
        state: "streaming",
        database: labels.source,
        target_database: labels.target,
        epoch: "1",
      }),
      1,
    );
    strictEqual(metrics.get("seren_up", { side: "source" }), 1);
    strictEqual(metrics.types.get("seren_replication_apply_errors_total"), "counter");
    ok(metrics.names.length >= 15);
    strictEqual(good.code, 0, good.stdout + good.stderr);
    match(good.stdout, /check passed/);

    await exec(targetUrl, `ALTER SUBSCRIPTION "${name}" DISABLE`);
    await exec(
      sourceUrl,
      "INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 1000) AS i",
    );
    const [bad, both] = await Promise.all([
      runCli(["status", "--check", "--max-lag-bytes", "10kB"], { env }),
      runCli(["status", "--check", "--json", "--max-lag-bytes", "1GB"], { env }),
    ]);
    strictEqual(bad.code, 7, bad.stderr);
    match(bad.stdout, /check failed:[\s\S]*is disabled[\s\S]*more than 10\.0 kB/);
    strictEqual(both.code, 7);
    const checked = JSON.parse(both.stdout);
    deepStrictEqual(statusFormProblems(checked), []);
    strictEqual(checked.check.ok, false);
    strictEqual(checked.check.reasons.length, 1);
  });
});

Deno.test("status prints what sets the sequences, and the next command; cleanup warns of what the target lacks", async () => {
  await withReplication(async ({ sourceUrl, targetUrl, name }, env) => {
    for (const url of [sourceUrl, targetUrl]) await exec(url, 'CREATE SEQUENCE "Order numbers"');
    await exec(sourceUrl, `SELECT setval('"Order numbers"', 7000)`);
    const { stdout, stderr } = await runCli(["status"], { env });
    const [statement = ""] =
      /SELECT pg_catalog\.setval\(.*"Order numbers".*, 7000, true\);/.exec(stdout) ?? [];
    match(stderr, /^Next: deno run .*cli\.ts verify --map=\S+$/m);
    const warned = await runCli(["cleanup", "--yes"], { env });
    match(warned.stderr, /! .*: 1 sequence behind on the target: new rows would get/);
    strictEqual(warned.code, 0, warned.stderr);
    await exec(targetUrl, statement);
    const set = await query(targetUrl, 'SELECT last_value::int AS n FROM "Order numbers"');
    deepStrictEqual(set, [{ n: 7000 }]);
    ok(!warned.stdout.includes(name));
  });
});

Deno.test("status reports which side is unreachable, exits with 4 or 5, and still shows the other side", async () => {
  await withReplication(async ({ name }, env) => {
    const gone = "postgresql://nobody@127.0.0.1:1/x";
    const [noSource, noTarget, json] = await Promise.all([
      runCli(["status"], { env: { ...env, SOURCE_URL: gone } }),
      runCli(["status", "--check"], { env: { ...env, TARGET_URL: gone } }),
      runCli(["status", "--json"], { env: { ...env, TARGET_URL: gone } }),
    ]);
    deepStrictEqual([noSource.code, noTarget.code, json.code], [4, 5, 5]);
    match(noSource.stdout, /source .*unreachable: cannot connect/);
    match(noSource.stdout, new RegExp(name));
    match(noTarget.stdout, /target .*unreachable/);
    match(noTarget.stdout, new RegExp(`${name} +unknown`));
    deepStrictEqual(statusFormProblems(JSON.parse(json.stdout)), []);
  });
});

Deno.test("status reports all conflicting and invalid options at once", async () => {
  const env = { SOURCE_URL: "postgresql://a@b/c", TARGET_URL: "postgresql://a@b/d" };
  const { code, stderr } = await runCli([
    "status",
    "--watch",
    "--prometheus",
    "--json",
    "--interval",
    "0",
    "--max-lag-bytes",
    "1000",
  ], { env });
  strictEqual(code, 2);
  match(stderr, /--watch: cannot be combined with --prometheus/);
  match(stderr, /--prometheus: cannot be combined with --json/);
  match(stderr, /--interval: "0" is not a whole number from 1 to 3600/);
  match(stderr, /--max-lag-bytes: "1000" is not a size with a unit/);
});

Deno.test("status --watch prints lines to a pipe, or documents with --json, until it is terminated", async () => {
  await withReplication(async ({ name }, env) => {
    for (const json of [false, true]) {
      const child = new Deno.Command(Deno.execPath(), {
        args: [...cliCommand, "status", "--watch", "--interval", "1", ...(json ? ["--json"] : [])],
        env: { ...denoEnvironment(), ...env },
        clearEnv: true,
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      const lines: string[] = [];
      const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      while (lines.length < 2) {
        const { value, done } = await reader.read();
        if (done) break;
        text += value;
        lines.splice(0, lines.length, ...text.split("\n").slice(0, -1));
      }
      child.kill("SIGTERM");
      while (!(await reader.read()).done);
      const [{ code }, stderr] = await Promise.all([
        child.status,
        new Response(child.stderr).text(),
      ]);
      strictEqual(code, 0, stderr);
      if (json) deepStrictEqual(lines.flatMap((line) => statusFormProblems(JSON.parse(line))), []);
      else for (const line of lines.slice(0, 2)) match(line, new RegExp(`${name}  streaming`));
    }
  });
});

Deno.test({
  name: "status --watch draws on a terminal of any size, and q quits, printing the last report",
  ignore: !hasTmux,
  fn: async () => {
    await withReplication(async ({ name, targetUrl, sourceUrl }, env) => {
      await using program = await TerminalProgram.start(
        [Deno.execPath(), ...cliCommand, "status", "--watch", "--interval", "1"],
        { ...denoEnvironment(), ...env },
      );
      await program.shows(/● streaming[\s\S]*▁▁[\s\S]*q quits/);
      await exec(targetUrl, `ALTER SUBSCRIPTION "${name}" DISABLE`);
      await exec(
        sourceUrl,
        "INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 1000) AS i",
      );
      await program.shows(/✗ disabled[\s\S]*▁█[\s\S]*the subscription is disabled/);
      await program.resize(40, 6);
      await until(targetUrl, "SELECT true AS ok");
      await program.shows(/disabled/);
      ok((await program.visible()).trimEnd().split("\n").length <= 6);
      await program.resize(110, 50);
      await program.type("q");
      const last = await program.shows(/exit code 0/);
      match(last, new RegExp(`${name} +disabled[\\s\\S]*✗ not healthy`));
    });
  },
});
