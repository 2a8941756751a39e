/** Every module group works with exactly the permissions in docs/guides/permissions.md. */
import { match, notStrictEqual, strictEqual } from "node:assert/strict";
import { join } from "node:path";
import { denoEnvironment, npmCache, repository, runProgram } from "../support/cli.ts";
import { sharedCluster } from "../support/clusters.ts";
import { installedDumpMajor } from "../support/corpus_copy.ts";
import { withDatabase } from "../support/databases.ts";
import { exec, query } from "../support/sql.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(17);

const net = `--allow-net=127.0.0.1:${source.port},127.0.0.1:${target.port}`;
const sessions = `
  const [from, to] = Deno.args;
  const source = await resolveEndpoint(from!, { side: "source" });
  const target = await resolveEndpoint(to!, { side: "target" });`;

/** Runs a program that imports modules of the repository by folder name. */
async function runUnder(permissions: readonly string[], program: string, args: string[] = []) {
  const folder = await Deno.makeTempDir({ prefix: "psr-permissions-" });
  try {
    const path = join(folder, "program.ts");
    const text = program.replaceAll(/"\/(\w+)"/g, (_, name) => `"${repository}lib/${name}/mod.ts"`);
    await Deno.writeTextFile(path, text);
    const { code, stdout, stderr } = await runProgram(Deno.execPath(), [
      "run",
      "--quiet",
      "--no-prompt",
      "--no-lock",
      `--config=${repository}deno.json`,
      ...permissions,
      path,
      ...args,
    ], { env: { ...denoEnvironment(), NO_COLOR: "1" } });
    return { code, stdout, stderr };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Two databases, the first with a table. */
async function withDatabases(use: (urls: string[]) => Promise<void>): Promise<void> {
  await withDatabase(source, undefined, async (from) => {
    await withDatabase(target, undefined, async (to) => {
      await exec(from.url, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS i");
      await use([from.url, to.url]);
    });
  });
}

Deno.test("core requires no permissions", async () => {
  const { code, stdout, stderr } = await runUnder(
    [],
    `import { formatBytes, redact, suggest } from "/core";
     console.log(formatBytes(1536), redact("a://b:c@d"), suggest("tabl", ["table"])[0]);`,
  );
  strictEqual(code, 0, stderr);
  strictEqual(stdout, "1.50 kB a://b:***@d table\n");
});

Deno.test("rules and config need no permission, since the caller reads the file", async () => {
  const { code, stdout, stderr } = await runUnder(
    [],
    `import { readRuleFlags } from "/rules";
     import { readConfig } from "/config";
     const flags = { includeTables: [], excludeTables: ["app.t"], schemaOnlyTables: [], tableFilters: [], timeFilters: [] };
     console.log(readRuleFlags(flags).problems.length);
     const { config, problems } = readConfig("jobs = 4\\njobz = 5", { name: "move.toml", lookUp: () => undefined });
     console.log(config?.jobs, problems.map(({ path }) => path).join());`,
  );
  strictEqual(code, 0, stderr);
  strictEqual(stdout, "0\nundefined move.toml:2: jobz\n");
});

Deno.test("verify needs net for both servers and nothing else", async () => {
  await withDatabases(async (urls) => {
    const program = `
      import { openSession, resolveEndpoint } from "/postgres";
      import { readSourceTables } from "/catalog";
      import { consequencesOf, decideTables, noTableRules } from "/rules";
      import { compareRows } from "/verify";
      ${sessions}
      await using session = await openSession(source);
      const tables = await readSourceTables(session);
      const scope = decideTables(noTableRules, tables);
      const { tables: compared } = await compareRows({
        source, target, scope, consequences: consequencesOf(scope, tables), jobs: 1, maxDiffs: 1, showValues: true,
        repair: "no", journal: undefined, signal: new AbortController().signal, events: () => {},
      });
      console.log(compared.map(({ name, verdict, reason }) => [name, verdict, reason].join()).join());`;
    const { code, stdout, stderr } = await runUnder([net], program, urls);
    strictEqual(code, 0, stderr);
    strictEqual(stdout, "t,different,the target has no such table\n");
  });
});

Deno.test("postgres and catalog need net for the server and nothing else", async () => {
  await withDatabases(async (urls) => {
    const program = `
      import { openSession, resolveEndpoint } from "/postgres";
      import { listTables } from "/catalog";
      ${sessions}
      await using session = await openSession(source);
      console.log((await listTables(session)).map(({ name }) => name).join());`;
    const { code, stdout, stderr } = await runUnder([net], program, urls);
    strictEqual(code, 0, stderr);
    strictEqual(stdout, "t\n");
    const refused = await runUnder([`--allow-net=127.0.0.1:1`], program, urls);
    notStrictEqual(refused.code, 0);
    match(refused.stderr, /--allow-net/);
  });
});

Deno.test("copy needs net for both servers and nothing else", async () => {
  await withDatabases(async (urls) => {
    await exec(urls[1] ?? "", "CREATE TABLE t (i int)");
    const { code, stdout, stderr } = await runUnder(
      [net],
      `
      import { openSession, relayCopies, resolveEndpoint } from "/postgres";
      import { exportLockedSnapshot } from "/copy";
      ${sessions}
      const { snapshot, tables } = await exportLockedSnapshot(source, { signal: new AbortController().signal, select: undefined });
      await using _held = snapshot;
      await using from_ = await openSession(source);
      await using to_ = await openSession(target);
      const jobs = tables.map(({ name }) => ({
        name,
        copyOut: \`COPY public."\${name}" TO STDOUT\`,
        copyIn: \`COPY public."\${name}" FROM STDIN\`,
        expectedBytes: 0,
      }));
      await relayCopies(from_, to_, {
        next: () => jobs.shift(),
        onFinished: (job, { rows }) => console.log(job.name, rows),
      });`,
      urls,
    );
    strictEqual(code, 0, stderr);
    strictEqual(stdout, "t 1000\n");
    const [count] = await query(urls[1] ?? "", "SELECT count(*)::int AS n FROM t");
    strictEqual(count?.["n"], 1000);
  });
});

Deno.test("replication needs net for both servers and nothing else", async () => {
  await withDatabases(async (urls) => {
    const { code, stdout, stderr } = await runUnder(
      [net],
      `
      import { openSession, resolveEndpoint } from "/postgres";
      import { listOwnedSlots, readSubscriptions } from "/replication";
      ${sessions}
      await using from_ = await openSession(source);
      await using to_ = await openSession(target);
      console.log((await listOwnedSlots(from_)).length, (await readSubscriptions(to_)).length);`,
      urls,
    );
    strictEqual(code, 0, stderr);
    strictEqual(stdout, "0 0\n");
  });
});

const dumping = (tool: string) => `
  import { resolveEndpoint } from "/postgres";
  import { dumpSchemaText, findDumpTool } from "/schema";
  ${sessions}
  const environment = { PATH: Deno.args[2] };
  const tool = await findDumpTool({ sourceMajor: 15, targetMajor: 15 }, {
    dump: "${tool}",
    binDirectory: undefined,
    environment,
  });
  const text = await dumpSchemaText({ endpoint: source, tool });
  console.log(tool.kind, /CREATE TABLE "public"."t" /.test(text));`;

Deno.test("schema with the embedded pg_dump also needs to read Deno's npm cache", async () => {
  await withDatabases(async (urls) => {
    const { code, stdout, stderr } = await runUnder(
      [net, `--allow-read=${await npmCache()}`],
      dumping("embedded"),
      urls,
    );
    strictEqual(code, 0, stderr);
    strictEqual(stdout, "embedded true\n");
  });
});

Deno.test({
  name:
    "schema with installed programs needs to run them, and to read and write the temporary folder",
  // the installed program must be able to read the source
  ignore: await installedDumpMajor() < source.major,
  fn: async () => {
    await withDatabases(async (urls) => {
      const temporary = Deno.env.get("TMPDIR") ?? "/tmp";
      const { code, stdout, stderr } = await runUnder(
        [
          net,
          "--allow-run=pg_dump,pg_dumpall",
          `--allow-read=${temporary}`,
          `--allow-write=${temporary}`,
        ],
        dumping("native"),
        [...urls, Deno.env.get("PATH") ?? ""],
      );
      strictEqual(code, 0, stderr);
      strictEqual(stdout, "native true\n");
    });
  },
});

Deno.test("the verbs need net for both servers and no variable", async () => {
  await withDatabases(async (urls) => {
    const { code, stdout, stderr } = await runUnder(
      [net],
      `import { cleanup, status, verify } from "${repository}mod.ts";
       const [source, target] = Deno.args as [string, string];
       const { databases } = await status({ source, target, sampleMs: 0 });
       const name = decodeURIComponent(new URL(source).pathname.slice(1));
       const { verdict } = await verify({ source, target, databases: { include: [name] } });
       await cleanup({ source, target });
       console.log(databases.length, verdict);`,
      urls,
    );
    strictEqual(code, 0, stderr);
    strictEqual(stdout, "0 different\n");
  });
});
