/**
 * `init --report` from the command line: the page describes what happened, and a failure to write
 * it never fails the run.
 */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { join } from "node:path";
import { type DefaultTreeAdapterTypes, parse } from "npm:parse5@8.1.1";
import { runCli } from "../support/cli.ts";
import { sharedCluster } from "../support/clusters.ts";
import { dropDatabase, withDatabase } from "../support/databases.ts";
import { runInit } from "../support/init.ts";
import { exec, query, withSession } from "../support/sql.ts";
import { waitUntil } from "../support/wait.ts";

type Node = DefaultTreeAdapterTypes.Node;

const source = await sharedCluster(15);
const target = await sharedCluster(18);

/** A folder to which the command line has write permission. */
async function withFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ dir: "/tmp", prefix: "psr-report-" });
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true }).catch(() => {}); // a test may have removed it
  }
}

function filesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

const password = "hunter2-not-in-any-report";

const shop = `
  CREATE TABLE customers (id int PRIMARY KEY, email text UNIQUE);
  INSERT INTO customers SELECT i, 'c' || i || '@example.com' FROM generate_series(1, 4000) i;
  CREATE TABLE "<b>Ord""ers</b>" (id int PRIMARY KEY, customer int REFERENCES customers, note text);
  INSERT INTO "<b>Ord""ers</b>" SELECT i, 1 + i % 4000, repeat('x', 200) FROM generate_series(1, 9000) i;
  CREATE INDEX "by & customer" ON "<b>Ord""ers</b>" (customer);
  CREATE TABLE "日本の表" (id int);`;

/**
 * Creates a shop database and passes it to `use` with the arguments that copy it. Drops the copy
 * afterwards.
 */
async function withShop(
  use: (
    shop: { readonly name: string; readonly url: string; readonly args: readonly string[] },
  ) => Promise<void>,
): Promise<void> {
  await withDatabase(source, undefined, async ({ name, url }) => {
    await query(url, shop);
    const withPassword = (text: string) => {
      const parsed = new URL(text);
      parsed.password = password; // never sent, since the servers trust every client
      return parsed.href;
    };
    try {
      await use({
        name,
        url,
        args: [
          ...["init", "--yes", "--source", withPassword(url)],
          ...["--target", withPassword(target.url()), "--include-databases", name],
        ],
      });
    } finally {
      await dropDatabase(target, name);
    }
  });
}

function find(node: Node, matches: (node: DefaultTreeAdapterTypes.Element) => boolean): Node[] {
  const children = "childNodes" in node
    ? node.childNodes.flatMap((child) => find(child, matches))
    : [];
  return "tagName" in node && matches(node) ? [node, ...children] : children;
}

function textOf(node: Node): string {
  if ("value" in node) return node.value;
  return "childNodes" in node ? node.childNodes.map(textOf).join("") : "";
}

Deno.test("init --report writes a page that lists what was copied and contains no secret", async () => {
  await withFolder(async (folder) => {
    await withShop(async ({ url, args }) => {
      const file = join(folder, "the report.html");
      await Deno.writeTextFile(file, "an older report");
      const { code, stderr, stdout } = await runCli([...args, "--report", file, "--json"]);
      strictEqual(code, 0, stderr);
      match(stderr, /report written to .*the report\.html/);
      deepStrictEqual(filesIn(folder), ["the report.html"]);

      const page = await Deno.readTextFile(file);
      ok(!page.includes(password));
      const document = parse(page, {
        onParseError: ({ code, startLine }) => {
          throw new Error(`${code} in line ${startLine}`);
        },
      });
      const section = (id: string) =>
        find(
          document,
          ({ attrs }) =>
            attrs.some(({ name, value }) => name === "aria-labelledby" && value === id),
        )[0]!;
      const rows = find(section("tables"), ({ tagName }) => tagName === "tr").slice(1)
        .map((row) => "childNodes" in row ? row.childNodes.map(textOf) : []);
      deepStrictEqual(
        rows.map(([table, count]) => [table, count]),
        [[`"<b>Ord""ers</b>"`, "9,000"], ["customers", "4,000"], [`"日本の表"`, "0"]],
      );
      const [size] = await query(url, "SELECT pg_relation_size('customers')::float8 / 1024 AS kb");
      strictEqual(rows[1]?.[2], `${Number(size?.["kb"]).toFixed(0)} kB`);
      match(textOf(section("summary")), /Rows13,000 in 3 tables/);

      const report = JSON.parse(stdout);
      const unpredicted = ["connect", "validate", "estimate"];
      for (const { step, ms, predictedMs } of report.steps) {
        ok(unpredicted.includes(step) ? predictedMs === undefined : predictedMs >= 0, step);
        ok(ms >= 0);
      }
      strictEqual(
        Math.round(report.plan.predictedMs),
        Math.round(
          report.plan.predictedSteps.reduce((sum: number, { ms }: { ms: number }) => sum + ms, 0),
        ),
      );
      deepStrictEqual(report.retries, []);
      const [chart] = find(document, ({ tagName }) => tagName === "figure");
      const blocks = find(chart!, ({ tagName }) => tagName === "title").map(textOf).join("\n");
      ok(report.timeline.length > 0);
      for (const table of [`"<b>Ord""ers</b>"`, "by & customer"]) {
        ok(blocks.includes(table), blocks);
      }
    });
  });
});

Deno.test("a report path that cannot be written is reported before the run starts, with every other problem", async () => {
  await withFolder(async (folder) => {
    const refused = async (file: string) => {
      const { code, stderr, stdout } = await runCli([
        ...["init", "--yes", "--jobs", "none"],
        ...["--source", source.url(), "--target", target.url(), "--report", file],
      ]);
      strictEqual(code, 2, stderr);
      strictEqual(stdout, "");
      match(stderr, /✗ --jobs: /);
      return stderr;
    };
    match(await refused(join(folder, "no", "report.html")), /✗ --report: .* does not exist/);
    match(await refused(folder), /✗ --report: .* exists and is not a file/);
    match(await refused(""), /✗ --report: is empty/);
    match(await refused("/dev/null/report.html"), /✗ --report: /);
    match(await refused("/report.html"), /✗ --report: .*allow it with --allow-write="\/"/);
    deepStrictEqual(filesIn(folder), []);
  });
});

Deno.test("init --dry-run checks the report path but writes no report", async () => {
  await withFolder(async (folder) => {
    await withShop(async ({ args }) => {
      const report = ["--report", join(folder, "report.html")];
      const { code, stderr } = await runCli([...args, ...report, "--dry-run"]);
      strictEqual(code, 0, stderr);
      deepStrictEqual(filesIn(folder), []);
    });
  });
});

Deno.test("if the report's folder is removed during the run, only the report fails", async () => {
  await withFolder(async (folder) => {
    await withShop(async ({ url, args }) => {
      await withSession(url, async (session) => {
        await session.unsafe("BEGIN; LOCK TABLE customers IN ACCESS EXCLUSIVE MODE");
        const run = runCli([...args, "--report", join(folder, "report.html")]);
        const waiting = `SELECT FROM pg_locks WHERE NOT granted AND database =
          (SELECT oid FROM pg_database WHERE datname = current_database())`;
        // the options have been checked by then
        await waitUntil(
          "the copy waits for the lock",
          async () => (await session.unsafe(waiting)).length > 0,
          { during: run },
        );
        await Deno.remove(folder, { recursive: true });
        await session.unsafe("COMMIT");
        const { code, stderr, stdout } = await run;
        strictEqual(code, 0, stderr);
        match(stderr, /warning: the report could not be written .*→ the copy is complete/);
        match(stdout, /13,000 rows/);
      });
    });
  });
});

Deno.test("a failed run leaves a report of what was done and why it failed", async () => {
  await withFolder(async (folder) => {
    await withShop(async ({ url, args }) => {
      // rows that violate the table's own constraint, so the target rejects them
      await exec(
        url,
        `CREATE FUNCTION fine(integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
         CREATE TABLE broken (id integer CONSTRAINT still_fine CHECK (fine(id)));
         INSERT INTO broken VALUES (1);
         CREATE OR REPLACE FUNCTION fine(integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false'`,
      );
      const file = join(folder, "report.html");
      const { code, stderr } = await runCli([...args, "--report", file]);
      strictEqual(code, 8, stderr);
      const page = await Deno.readTextFile(file);
      ok(!page.includes(password));
      match(page, /✗ Ended before everything was copied/);
      match(page, /violates check constraint/);
      match(page, /✗ failed/);
      match(page, /customers/);
    });
  });
});

Deno.test("the report lists each retry with its time, pause and reason", async () => {
  await withShop(async ({ url, name }) => {
    // larger than socket buffers, so its backend is still sending when progress is first reported
    await query(
      url,
      "CREATE TABLE big AS SELECT repeat(md5(i::text), 30) AS line FROM generate_series(1, 24000) i",
    );
    let cut = false;
    const { report } = await runInit(url, target.url(), {
      include: [name],
      maxBytesPerSecond: 8 * 1024 ** 2,
      jobs: 1,
      sessionRetryDelaysMs: [50, 100, 200],
      databaseRetryDelaysMs: [50, 100, 200],
      onEvent: (event) => {
        if (event.kind !== "table-progress" || event.table !== "big" || cut) return;
        cut = true;
        void query(
          source.url(),
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = '${name}' AND query LIKE 'COPY%' AND state = 'active'`,
        );
      },
    });
    ok(report.retries.length > 0);
    const [first] = report.retries;
    match(first?.what ?? "", /^copying the tables of .* \(session 1\)$/);
    match(
      first?.reason ?? "",
      /^(source|target), .*: .*(terminating connection|closed|ended unexpectedly)/,
    );
    strictEqual(first?.attempt, 1);
    strictEqual(first?.delayMs, 50);
    ok((first?.startMs ?? 0) > 0 && (first?.startMs ?? 0) < report.ms);
    strictEqual(report.rows, 37_000);
  });
});
