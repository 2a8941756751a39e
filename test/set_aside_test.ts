/** Objects that the target refuses are set aside: everything else is copied, and a rerun creates them. */
import { deepStrictEqual, match } from "node:assert/strict";
import { FileCheckpointStore } from "../lib/checkpoint/mod.ts";
import { setAsideObjects } from "../lib/commands/report.ts";
import { sharedCluster } from "./support/clusters.ts";
import { dropDatabase } from "./support/databases.ts";
import { type InitOutcome, type InitTestOptions, runInit } from "./support/init.ts";
import { exec, query } from "./support/sql.ts";

const source = await sharedCluster(12);
const target = await sharedCluster(18);

interface Place {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  readonly copy: (options?: InitTestOptions) => Promise<InitOutcome>;
}

let count = 0;

async function withCopy(sql: string, use: (place: Place) => Promise<void>): Promise<void> {
  const name = `set aside ${++count}`;
  const folder = await Deno.makeTempDir({ prefix: "psr-aside-" });
  await exec(source.url(), `CREATE DATABASE "${name}" TEMPLATE template0`);
  try {
    await exec(source.url({ database: name }), sql);
    await use({
      name,
      from: source.url({ database: name }),
      to: target.url({ database: name }),
      copy: (options = {}) =>
        runInit(source.url({ database: name }), target.url(), {
          include: [name],
          checkpoint: (operation) => new FileCheckpointStore(operation, folder),
          ...options,
        }),
    });
  } finally {
    await dropDatabase(source, name);
    await dropDatabase(target, name);
    await Deno.remove(folder, { recursive: true }).catch(() => {});
  }
}

function caseFile(name: string): string {
  return Deno.readTextFileSync(new URL(`cases/${name}.sql`, import.meta.url)).split(
    "-- STREAM",
  )[0]!;
}

function names({ report }: InitOutcome): readonly string[] {
  return setAsideObjects(report).map(({ object }) => object);
}

Deno.test("[03] a materialized view that cannot be filled does not end the copy", async () => {
  await withCopy(
    caseFile("03-matview-text-query") +
      "CREATE VIEW lib.over_it AS SELECT count(*) FROM public.word_stats; COMMENT ON VIEW lib.over_it IS 'x';",
    async ({ to, copy }) => {
      const first = await copy();
      deepStrictEqual(names(first), ["MATERIALIZED VIEW DATA public.word_stats"]);
      const [object] = setAsideObjects(first.report);
      match(object!.reason, /42P01/);
      match(object!.remedy, /search_path/);
      match(object!.statement, /^REFRESH MATERIALIZED VIEW public\.word_stats/);
      deepStrictEqual(await query(to, "SELECT count(*)::int AS n FROM lib.docs"), [{ n: 20 }]);

      deepStrictEqual(names(await copy()), names(first));
    },
  );
});

Deno.test("[25] views, materialized views and functions that need each other are all filled", async () => {
  await withCopy(caseFile("25-matview-view-chain"), async ({ to, copy }) => {
    deepStrictEqual(names(await copy()), []);
    deepStrictEqual(
      await query(
        to,
        `SELECT (SELECT n::int FROM a_first) AS a, (SELECT n::int FROM b_over) AS b,
                (SELECT count(*)::int FROM d_item) AS d,
                (SELECT count(*)::int FROM pg_rewrite WHERE rulename = 'r') AS rules`,
      ),
      [{ a: 20, b: 20, d: 20, rules: 1 }],
    );
    deepStrictEqual(await query(to, "SELECT FROM pg_namespace WHERE nspname = 'seren_ledger'"), []);
  });
});

Deno.test("[87] a materialized view that its unique index no longer fits is left empty", async () => {
  await withCopy(caseFile("87-matview-refresh-fails"), async ({ from, to, copy }) => {
    const first = await copy();
    deepStrictEqual(names(first), ["MATERIALIZED VIEW DATA public.m"]);
    match(setAsideObjects(first.report)[0]!.remedy, /the source cannot refresh it either/);
    deepStrictEqual(
      await query(
        to,
        "SELECT (SELECT count(*)::int FROM pg_trigger WHERE tgname = 'later_trg') AS triggers, to_regclass('w') IS NOT NULL AS w",
      ),
      [{ triggers: 1, w: true }],
    );
    for (const url of [from, to]) await exec(url, "UPDATE t SET a = id");
    deepStrictEqual(names(await copy()), []);
    deepStrictEqual(await query(to, "SELECT a FROM m ORDER BY a"), [{ a: 1 }, { a: 2 }]);
    deepStrictEqual(await query(to, "SELECT FROM pg_namespace WHERE nspname = 'seren_ledger'"), []);
  });
});
