/**
 * The plan of `init --dry-run` for real tables: sizes as the server reports them. Nothing is
 * changed.
 */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import type { DatabaseSelection } from "../../../lib/commands/shared/run.ts";
import { urlDatabaseWarnings } from "../../../lib/commands/init/plan.ts";
import { runCli } from "../../support/cli.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { withDatabase } from "../../support/databases.ts";
import { exec, query } from "../../support/sql.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);

const tables = `
  CREATE TABLE documents (id int, body text);
  ALTER TABLE documents ALTER body SET STORAGE EXTERNAL;
  INSERT INTO documents SELECT i, repeat(md5(i::text), 250) FROM generate_series(1, 1500) i;
  CREATE TABLE sales (id int, year int, month int) PARTITION BY LIST (year);
  CREATE TABLE sales_2023 PARTITION OF sales FOR VALUES IN (2023);
  CREATE TABLE sales_2024 PARTITION OF sales FOR VALUES IN (2024) PARTITION BY LIST (month);
  CREATE TABLE sales_2024_1 PARTITION OF sales_2024 FOR VALUES IN (1);
  CREATE TABLE sales_2024_2 PARTITION OF sales_2024 FOR VALUES IN (2);
  INSERT INTO sales SELECT i, 2023 + i % 2, 1 + i / 2 % 2 FROM generate_series(1, 40000) i;
  CREATE TABLE bloated (id int, line text) WITH (autovacuum_enabled = off);
  INSERT INTO bloated SELECT i, repeat('x', 400) FROM generate_series(1, 40000) i;
  DELETE FROM bloated WHERE id % 40 <> 0;
  CREATE TYPE mood AS ENUM ('good');
  CREATE TABLE own_type (id int, moods mood[]);`;

/** The expected sizes, from the server's own functions. */
const sizes = `
  SELECT c.relname AS name, pg_relation_size(c.oid)::float8 AS heap,
         coalesce(pg_relation_size(nullif(c.reltoastrelid, 0)), 0)::float8 AS toast
    FROM pg_class AS c
   WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
   ORDER BY 2 + 3`;

interface Planned {
  readonly name: string;
  readonly bytes: number;
  readonly toastBytes: number;
  readonly parts: number;
  readonly format: string;
  readonly whyText?: string;
  readonly partitionOf?: { readonly name: string };
}

Deno.test("sizes in the plan include TOAST, partitions and dead rows, and the plan explains why a table is not binary", async () => {
  await withDatabase(source, undefined, async ({ name, url }) => {
    await exec(url, tables);
    await exec(url, "VACUUM (ANALYZE, TRUNCATE OFF)");
    const args = [
      ...["init", "--dry-run", "--jobs", "2", "--split-tables-larger-than", "4MB"],
      ...["--source", url, "--target", target.url(), "--include-databases", name],
    ];
    await exec(source.url(), "CREATE ROLE on_both CREATEDB");
    await exec(target.url(), "CREATE ROLE on_both REPLICATION LOGIN");
    const { code, stdout, stderr } = await runCli([...args, "--json"]);
    await exec(source.url(), "DROP ROLE on_both");
    await exec(target.url(), "DROP ROLE on_both");
    strictEqual(code, 0, stderr);
    const plan = JSON.parse(stdout);
    ok(
      plan.warnings.includes(
        "role on_both: it already exists on the target: it gains CREATEDB, and keeps LOGIN, REPLICATION, unlike on the source",
      ),
      plan.warnings.join("\n"),
    );
    const planned: readonly Planned[] = plan.databases[0].tables;
    const real = await query(url, sizes);
    strictEqual(planned.length, real.length);
    const of = (name: string) => planned.find((each) => each.name === name)!;
    for (const { name, heap, toast } of real) {
      const { bytes, toastBytes } = of(String(name));
      deepStrictEqual(
        [bytes, toastBytes],
        [Number(heap) + Number(toast), Number(toast)],
        String(name),
      );
    }
    deepStrictEqual(
      planned.map(({ bytes }) => bytes),
      planned.map(({ bytes }) => bytes).toSorted((a, b) => b - a),
    );

    const documents = of("documents");
    ok(documents.toastBytes > 0.95 * documents.bytes);
    strictEqual(documents.parts, Math.ceil(documents.bytes / 4 / 1024 ** 2));
    strictEqual(of("bloated").parts, Math.ceil(of("bloated").bytes / 4 / 1024 ** 2));
    deepStrictEqual(
      ["sales_2023", "sales_2024_1", "sales_2024_2"].map((name) => of(name).partitionOf?.name),
      ["sales", "sales", "sales"],
    );
    deepStrictEqual([of("own_type").format, of("own_type").whyText], [
      "text",
      "column moods public.mood[]",
    ]);
    strictEqual(of("documents").format, "binary");

    const steps: readonly { readonly step: string; readonly ms: number }[] = plan.predictedSteps;
    for (const step of ["globals", "dump", "schema", "data", "indexes", "sequences", "analyze"]) {
      ok(steps.some((each) => each.step === step && each.ms > 0), step);
    }
    deepStrictEqual(
      await query(target.url(), "SELECT FROM pg_database WHERE datname = $1", [name]),
      [],
    );

    const shown = await runCli(args);
    match(shown.stderr, /^Next: .* init --jobs 2 --split-tables-larger-than 4MB --source /m);
    const text = shown.stdout;
    match(text, /documents +[\d.]+ MB .*3 parts, binary; 9\d % TOAST/);
    match(text, /sales_2024_1 .*; partition of sales/);
    match(text, /own_type .*text: column moods public\.mood\[\]/);
    match(text, /about [\d.]+ m?s; 2 tables and 2 indexes in parallel/);
    match(text, /of which .*copy rows [\d.]+ m?s/);
  });
});

Deno.test("the plan says that a database in the source's URL does not limit the copy", () => {
  const all: Pick<DatabaseSelection, "include" | "exclude"> = { include: [], exclude: [] };
  const warnings = (database: string, databases = all, copied = ["billing", "My Shop"]) =>
    urlDatabaseWarnings({ source: { database, databaseGiven: true }, databases }, copied);
  deepStrictEqual(warnings("My Shop"), [
    "the source's URL names My Shop, but all 2 databases are copied → " +
    '--include-databases "My Shop" copies only this one',
  ]);
  deepStrictEqual(warnings("postgres", all, ["billing", "postgres"]), []);
  deepStrictEqual(warnings("billing", all, ["billing"]), []);
  deepStrictEqual(warnings("billing", { ...all, exclude: ["x"] }), []);
  deepStrictEqual(
    urlDatabaseWarnings(
      { source: { database: "billing", databaseGiven: false }, databases: all },
      ["billing", "shop"],
    ),
    [],
  );
});

Deno.test("a plan of several databases says which one a warning is about", async () => {
  await withDatabase(source, undefined, async ({ name, url }) => {
    await withDatabase(source, undefined, async (other) => {
      await exec(url, "CREATE TABLE no_key (id int)");
      const init = async (...options: readonly string[]) =>
        await runCli([
          ...["init", "--dry-run", "--json", "--enable-sync", "--source", url],
          ...["--target", target.url(), "--include-databases", `${name},${other.name}`],
          ...options,
        ]);
      const refused = await init();
      strictEqual(refused.code, 3, refused.stderr);
      ok(refused.stderr.includes(`  ${name}, source: 1 table without`), refused.stderr);
      const { stdout } = await init("--replica-identity", "skip");
      const { warnings } = JSON.parse(stdout) as { warnings: string[] };
      const about = warnings.filter((warning) => warning.includes("no_key"));
      ok(about.length > 0, warnings.join("\n"));
      ok(about.every((warning) => warning.startsWith(`${name}, source: `)), about.join("\n"));
    });
  });
});
