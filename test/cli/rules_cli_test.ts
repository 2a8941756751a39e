/** Table rules and configuration files on the command line. */
import { match, ok, strictEqual } from "node:assert/strict";
import { type CliOutcome, runCli } from "../support/cli.ts";
import { sharedCluster } from "../support/clusters.ts";
import { createTemplate, dropDatabase, withDatabase } from "../support/databases.ts";
import { query } from "../support/sql.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(17);

await createTemplate(
  source,
  "rules_cli",
  `
  CREATE SCHEMA analytics;
  CREATE TABLE orders (id int PRIMARY KEY, at timestamptz);
  INSERT INTO orders SELECT i, now() - i * interval '1 day' FROM generate_series(1, 100) i;
  CREATE TABLE analytics.orders (id int);
  INSERT INTO analytics.orders VALUES (1), (2);
  CREATE TABLE audit (id int);
  CREATE VIEW audited AS SELECT * FROM audit;
  ANALYZE`,
);

const urls = { SOURCE_URL: source.url(), TARGET_URL: target.url() };

/** Creates a temporary configuration file. */
async function withFile(text: string, use: (path: string) => Promise<void>): Promise<void> {
  const path = await Deno.makeTempFile({ prefix: "psr-config-", suffix: ".toml" });
  try {
    await Deno.writeTextFile(path, text);
    await use(path);
  } finally {
    await Deno.remove(path);
  }
}

async function init(
  args: readonly string[],
  env: Readonly<Record<string, string>> = urls,
): Promise<CliOutcome> {
  return await runCli(["init", "--dump-tool=embedded", ...args], { env });
}

Deno.test("invalid rules and a missing file are reported together, before any server is contacted", async () => {
  const nowhere = "postgresql://nobody@127.0.0.1:1/none";
  const { code, stdout, stderr } = await init([
    "--yes",
    "--config=/nowhere/move.toml",
    "--include-tables=app.a",
    "--exclude-tables=orders",
    "--schema-only-tables=app..x",
    "--table-filter=orders:a; DROP TABLE b",
    '--table-filter="orders:a',
    "--time-filter=orders:at:-1 day",
    "--time-filter=orders:at:3 moons",
  ], { SOURCE_URL: nowhere, TARGET_URL: nowhere });
  strictEqual(code, 2);
  strictEqual(stdout, "");
  for (
    const expected of [
      /--config: "\/nowhere\/move\.toml" does not exist/,
      /--exclude-tables: "orders" does not name a database/,
      /--schema-only-tables: "app\.\.x" has an empty part/,
      /--table-filter: the predicate .* contains a semicolon/,
      /--table-filter: "+orders:a"? has an unclosed double quote/,
      /--time-filter: "-1 day" is negative/,
      /--time-filter: "moons" is not a unit of time/,
      /Nothing was changed/,
    ]
  ) match(stderr, expected);
});

Deno.test("problems in a file are reported with line numbers, together with those of flags", async () => {
  await withFile('jobs = 4\nsplit_tables_larger_than = "many"\n', async (path) => {
    const { code, stderr } = await init(["--yes", `--config=${path}`, "--jobs=0"]);
    strictEqual(code, 2);
    match(stderr, /--jobs: "0" is not a whole number/);
    match(stderr, /psr-config-.*\.toml:2: split_tables_larger_than: "many" is not a size/);
  });
  await withFile('jobz = 4\n[databases.app]\nschema_only = "t"\n', async (path) => {
    const { code, stderr } = await init(["--yes", `--config=${path}`]);
    strictEqual(code, 2);
    match(stderr, /\.toml:1: jobz: is not a known key; did you mean jobs\?/);
    match(stderr, /\.toml:3: databases\.app\.schema_only: is the string "t", must be a list/);
  });
  await withFile('source = "postgresql://other@nowhere/x"\n', async (path) => {
    const { code, stderr } = await init(["--yes", `--config=${path}`]);
    strictEqual(code, 2);
    match(stderr, /\.toml:1: source: names a different server than the variable SOURCE_URL/);
  });
});

Deno.test("validate --explain-rules and init --dry-run explain the decision for every table", async () => {
  await withDatabase(source, "rules_cli", async ({ name, url }) => {
    const env = { SOURCE_URL: url, TARGET_URL: target.url() };
    const rules = [
      `--include-databases=${name}`,
      `--exclude-tables=${name}.audit`,
      "--schema-only-tables=analytics.orders",
      "--time-filter=orders:at:30 days",
    ];
    const explanations = [
      /audit +left out +--exclude-tables/,
      /analytics\.orders +structure only +--schema-only-tables/,
      /orders +filtered +--time-filter: rows of the last 30 days by at/,
      /view audited is left out: it needs audit/,
    ];
    const validated = await runCli([
      "validate",
      "--explain-rules",
      "--dump-tool=embedded",
      ...rules,
    ], { env });
    strictEqual(validated.code, 0, validated.stderr);
    for (const expected of explanations) match(validated.stdout, expected);
    const planned = await init(["--dry-run", ...rules], env);
    strictEqual(planned.code, 0, planned.stderr);
    for (const expected of explanations) match(planned.stdout, expected);
    const { stdout } = await init(["--dry-run", "--json", ...rules], env);
    const [plan] = JSON.parse(stdout).databases;
    strictEqual(plan.decisions.length, 3);
    ok(plan.tables[0].rowEstimate < 60, "the estimate considers the filter");
  });
});

Deno.test("a configuration file determines what is copied, and flags override it", async () => {
  await withDatabase(source, "rules_cli", async ({ name, url }) => {
    const { username, host, pathname, search } = new URL(url);
    const file = `
      source = "postgresql://${username}:\${SEREN_OLD_PASSWORD}@${host}${pathname}${search}"
      target = "${target.url()}"
      include_databases = ["${name}"]
      map = { ${name} = "moved to" }
      [databases.${name}]
      schema_only = ["audit"]
      [[databases.${name}.table_filters]]
      table = "orders"
      where = "id <= 10"
      [[databases.${name}.table_filters]]
      table = "orders"
      schema = "analytics"
      where = "id = 2"`;
    await withFile(file, async (path) => {
      try {
        const env = { SEREN_OLD_PASSWORD: decodeURIComponent(new URL(url).password) || "any" };
        const { code, stderr } = await init(
          ["--yes", "--config", path, "--table-filter=orders:id > 95"],
          env,
        );
        strictEqual(code, 0, stderr);
        const next = `verify --config ${path} '--table-filter=orders:id > 95'`;
        ok(stderr.endsWith(` ${next}\n`), stderr);
        const verified = await runCli(
          ["verify", "--config", path, "--table-filter=orders:id > 95"],
          {
            env,
          },
        );
        strictEqual(verified.code, 0, verified.stdout + verified.stderr);
        const copy = target.url({ database: "moved to" });
        const value = async (sql: string) => Object.values((await query(copy, sql))[0] ?? {})[0];
        strictEqual(
          await value("SELECT array_agg(id ORDER BY id)::text FROM orders"),
          "{96,97,98,99,100}",
        );
        strictEqual(await value("SELECT array_agg(id)::text FROM analytics.orders"), "{2}");
        const without = await init(["--yes", "--config", path], {});
        strictEqual(without.code, 2);
        match(without.stderr, /variable SEREN_OLD_PASSWORD is not set/);
      } finally {
        await dropDatabase(target, "moved to");
      }
    });
  });
});
