/**
 * Planner statistics after `init`: those of the source where the target can restore them, compared
 * column by column with plain SQL, and by what the planner estimates.
 */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import type { Cluster } from "../../../lib/cluster/mod.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { dropDatabase } from "../../support/databases.ts";
import { SourceStatistics } from "../../../lib/copy/internal.ts";
import { tableKey } from "../../../lib/core/internal.ts";
import { endpointOf, type InitTestOptions, runInit } from "../../support/init.ts";
import { exec, query } from "../../support/sql.ts";
import { runVerify } from "../../support/verify.ts";
import { readRuleFlags } from "../../../lib/rules/internal.ts";

const sources = [await sharedCluster(12), await sharedCluster(15), await sharedCluster(18)];
const old = await sharedCluster(15);
const target = await sharedCluster(18, { settings: { autovacuum: "off" } });
const target17 = await sharedCluster(17);

/** Keeps autovacuum from collecting statistics of its own, on either side. */
const quiet = "WITH (autovacuum_enabled = off)";

const everyType = `
  CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
  CREATE DOMAIN share AS numeric CHECK (VALUE >= 0);
  CREATE TYPE pair AS (a int, b text);
  CREATE COLLATION backwards (provider = libc, locale = 'C');
  CREATE TABLE kinds (
    id int PRIMARY KEY, big bigint, small smallint, r real, d double precision, n numeric(12, 4), yes boolean,
    t text, v varchar(40), c char(5), name name, byte bytea, day date, at timestamptz, plain timestamp, clock time,
    span interval, uuid uuid, address inet, mac macaddr, bits bit varying, cash money, doc jsonb, x xml,
    ints int[], texts text[], words tsvector, mood mood, moods mood[], share share, pair pair, pairs pair[],
    ordered text COLLATE backwards, point point, box box, empty text, constant int DEFAULT 7,
    "It's ""odd"" {,} \\ Spalte" text, twice int GENERATED ALWAYS AS (id * 2) STORED) ${quiet};
  INSERT INTO kinds (id, big, small, r, d, n, yes, t, v, c, name, byte, day, at, plain, clock, span, uuid, address, mac,
      bits, cash, doc, x, ints, texts, words, mood, moods, share, pair, pairs, ordered, point, box,
      "It's ""odd"" {,} \\ Spalte")
    SELECT i, i::bigint * 1000003, i % 20, i / 7.0, sqrt(i), i % 97 / 8.0, i % 3 = 0,
      CASE WHEN i % 10 = 0 THEN NULL WHEN i % 4 = 0 THEN 'it''s, "quoted" \\ {' || i % 5 || '}' ELSE md5(i::text) END,
      'v' || i % 50, chr(65 + i % 26), ('n' || i % 9)::name, decode(md5((i % 80)::text), 'hex'),
      date '2000-01-01' + i % 700 * CASE WHEN i % 2 = 0 THEN -1 ELSE 1 END, timestamptz '2001-02-03 04:05:06.789+02' + i * interval '7 minutes',
      timestamp '1999-12-31' + i * interval '1 day', time '00:00' + i % 60 * interval '1 minute',
      (i % 40 - 20) * interval '1 month -3 days 4 hours', md5((i % 300)::text)::uuid,
      ('10.0.' || i % 4 || '.' || i % 200)::inet, ('08:00:2b:01:02:0' || i % 8)::macaddr, (i % 30)::bit(8), (i % 25)::numeric::money,
      jsonb_build_object('k', i % 12), ('<a>' || i || '</a>')::xml,
      ARRAY[i % 5, i % 7, NULL], ARRAY['a' || i % 6, 'b, "' || i % 3 || '"'], to_tsvector('simple', 'word' || i % 9 || ' other' || i % 4),
      (ARRAY['sad', 'ok', 'happy'])[1 + i % 3]::mood, ARRAY['ok', (ARRAY['sad', 'happy'])[1 + i % 2]]::mood[], i % 33, ROW(i % 4, 'x,"' || i % 2)::pair,
      ARRAY[ROW(i % 2, NULL)::pair], 'o' || i % 77, point(i, i), box(point(0, 0), point(i, i)), 'odd ' || i % 15
      FROM generate_series(1, 3000) AS i;
  CREATE INDEX "lower, it's" ON kinds (lower(t), id, (small + 1)) WHERE yes;
  CREATE INDEX ON kinds ((doc ->> 'k'));
  CREATE SCHEMA "Sch'ema";
  CREATE TABLE "Sch'ema"."Ta""ble \\" (i int, "Col umn" text) ${quiet};
  INSERT INTO "Sch'ema"."Ta""ble \\" SELECT i, 'x' || i % 3 FROM generate_series(1, 500) AS i;
  CREATE TABLE parent (i int, t text) ${quiet};
  CREATE TABLE child (extra int) INHERITS (parent) ${quiet};
  INSERT INTO parent SELECT i, 'p' || i % 10 FROM generate_series(1, 800) AS i;
  INSERT INTO child SELECT i, 'c' || i % 10, i FROM generate_series(1, 600) AS i;
  CREATE TABLE whole (i int, m int) PARTITION BY RANGE (m);
  CREATE TABLE first PARTITION OF whole FOR VALUES FROM (0) TO (6) ${quiet};
  CREATE TABLE rest PARTITION OF whole FOR VALUES FROM (6) TO (12) PARTITION BY RANGE (m);
  CREATE TABLE second PARTITION OF rest FOR VALUES FROM (6) TO (12) ${quiet};
  INSERT INTO whole SELECT i, i % 12 FROM generate_series(1, 4000) AS i;
  CREATE TABLE nothing (i int) ${quiet};
  CREATE TABLE few (i int, j int, k int) ${quiet}; INSERT INTO few VALUES (1, NULL, 5);
  ANALYZE;`;

/** Every statistic of a database, by the name of its column. */
const statistics = `
  SELECT schemaname || '.' || tablename || '.' || attname || CASE WHEN inherited THEN ' inherited' ELSE '' END AS "column",
         null_frac, avg_width, n_distinct, most_common_vals::text, most_common_freqs::text, histogram_bounds::text,
         correlation, most_common_elems::text, most_common_elem_freqs::text, elem_count_histogram::text
    FROM pg_stats
   WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
   ORDER BY schemaname COLLATE "C", tablename COLLATE "C", attname COLLATE "C", inherited`;

const sizes = `
  SELECT c.oid::regclass::text AS name, c.reltuples::float8 AS rows
    FROM pg_class AS c
   WHERE c.relkind = 'r' AND c.relnamespace IN ('public'::regnamespace, '"Sch''ema"'::regnamespace)
     AND c.relname <> 'nothing' ORDER BY c.relname COLLATE "C"`;

const questions = [
  "SELECT FROM kinds WHERE small = 3",
  "SELECT FROM kinds WHERE t LIKE 'it%' AND day > '2000-05-01'",
  "SELECT FROM kinds WHERE ints @> ARRAY[3] AND mood = 'ok'",
  "SELECT FROM kinds WHERE words @@ 'word3'::tsquery",
  "SELECT FROM kinds WHERE lower(t) < 'c' AND small + 1 = 4",
  "SELECT FROM kinds WHERE doc ->> 'k' = '5'",
  "SELECT FROM whole WHERE i < 100",
  "SELECT FROM parent WHERE t = 'p3'",
  "SELECT i FROM kinds JOIN parent ON kinds.small = parent.i",
];

/** The rows that the planner expects of each question. */
async function estimates(url: string): Promise<readonly unknown[]> {
  const rows: unknown[] = [];
  for (const question of questions) {
    const [found] = await query(url, `EXPLAIN (FORMAT JSON) ${question}`);
    const [{ Plan }] = found!["QUERY PLAN"] as [{ Plan: { "Plan Rows": number } }];
    rows.push([question, Plan["Plan Rows"]]);
  }
  return rows;
}

/** Copies a new database; drops both afterwards. */
async function withCopy(
  { source, onto = target, script, ...options }: InitTestOptions & {
    readonly source: Cluster;
    readonly onto?: Cluster;
    readonly script: string;
  },
  use: (
    copied:
      & { readonly from: string; readonly to: string }
      & Awaited<ReturnType<typeof runInit>>,
  ) => Promise<void>,
): Promise<void> {
  const name = "statistics";
  await exec(source.url(), `CREATE DATABASE ${name} TEMPLATE template0`);
  const from = source.url({ database: name });
  try {
    await exec(from, script);
    const outcome = await runInit(source.url(), onto.url(), { include: [name], ...options });
    await use({ ...outcome, from, to: onto.url({ database: name }) });
  } finally {
    await dropDatabase(source, name);
    await dropDatabase(onto, name);
  }
}

for (const source of sources) {
  Deno.test(`a copy from ${source.major} has the source's statistics of every type, and the same estimates`, async () => {
    await withCopy({ source, script: everyType }, async ({ from, to, plan, report }) => {
      const expected = await query(from, statistics);
      ok(expected.length > 50);
      const found = await query(to, statistics);
      deepStrictEqual(found, expected);
      deepStrictEqual(await query(to, sizes), await query(from, sizes));
      deepStrictEqual(await estimates(to), await estimates(from));
      const counted = "SELECT coalesce(sum(analyze_count), 0)::int AS n FROM pg_stat_user_tables";
      deepStrictEqual(await query(to, counted), [{ n: 0 }]);
      deepStrictEqual(report.databases[0]?.statistics, {
        from: "source",
        carried: plan.databases[0]?.statistics.carried,
        analyzed: [],
      });
      deepStrictEqual(report.warnings.filter(({ object }) => object !== "role postgres"), []);
    });
  });
}

Deno.test("statistics of ranges are carried over from 17 on, and collected for older sources", async () => {
  const script = `CREATE TABLE booked (id int, during int4range, days daterange) ${quiet};
    INSERT INTO booked SELECT i, CASE WHEN i % 9 = 0 THEN 'empty' ELSE int4range(i, i + i % 50) END,
      daterange(date '2020-01-01' + i, date '2020-02-01' + i) FROM generate_series(1, 2000) AS i;
    ANALYZE`;
  const ranges =
    `SELECT attname, null_frac, range_empty_frac, range_length_histogram::text, range_bounds_histogram::text
    FROM pg_stats WHERE tablename = 'booked' ORDER BY 1`;
  const counted = "SELECT analyze_count::int AS n FROM pg_stat_user_tables";
  await withCopy({ source: sources[2]!, script }, async ({ from, to }) => {
    const found = await query(to, ranges);
    deepStrictEqual(found, await query(from, ranges));
    ok(found[1]?.["range_length_histogram"]);
    deepStrictEqual(await query(to, counted), [{ n: 0 }]);
  });
  await withCopy({ source: old, script }, async ({ from, to, plan }) => {
    const [days, during, id] = await query(to, ranges);
    ok(days?.["range_bounds_histogram"] && during?.["range_length_histogram"]);
    strictEqual(id?.["range_bounds_histogram"], null);
    deepStrictEqual(plan.databases[0]?.statistics.analyzed, [
      { schema: "public", name: "booked", columns: ["during", "days"], reason: "type" },
    ]);
    const plain = "SELECT histogram_bounds::text FROM pg_stats WHERE attname = 'id'";
    deepStrictEqual(await query(to, plain), await query(from, plain));
  });
});

const mixed = `
  CREATE TABLE fresh AS SELECT i FROM generate_series(1, 300) AS i;
  CREATE TABLE grown AS SELECT i, i % 3 AS j FROM generate_series(1, 300) AS i;
  CREATE TABLE kept AS SELECT i, i % 3 AS j FROM generate_series(1, 300) AS i;
  CREATE TABLE paired AS SELECT i % 7 AS a, i % 7 AS b FROM generate_series(1, 500) AS i;
  CREATE STATISTICS paired_stats (dependencies) ON a, b FROM paired;
  CREATE TABLE indexed AS SELECT i, 'x' || i AS t FROM generate_series(1, 300) AS i;
  CREATE TABLE filtered AS SELECT i FROM generate_series(1, 300) AS i;
  CREATE TABLE whole (i int, m int) PARTITION BY LIST (m);
  CREATE TABLE one PARTITION OF whole FOR VALUES IN (1); CREATE TABLE two PARTITION OF whole FOR VALUES IN (2);
  INSERT INTO whole SELECT i, 1 + i % 2 FROM generate_series(1, 400) AS i;
  CREATE MATERIALIZED VIEW seen AS SELECT * FROM kept;
  DO $$ DECLARE each regclass; BEGIN
    FOR each IN SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'm') LOOP
      EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = off)', each);
    END LOOP; END $$;
  ANALYZE grown, kept, paired, indexed, filtered, whole;
  ALTER TABLE grown ADD k int DEFAULT 5;
  CREATE INDEX ON indexed (lower(t));`;

/** Tables of the copy without statistics of a column. */
const missing = `
  SELECT a.attrelid::regclass::text AS name, a.attname AS "column"
    FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
   WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'm') AND a.attnum > 0
     AND NOT EXISTS (SELECT FROM pg_statistic AS s WHERE s.starelid = a.attrelid AND s.staattnum = a.attnum)
   ORDER BY 1, 2`;

Deno.test("what cannot be carried over is analyzed, and the plan says why", async () => {
  const read = readRuleFlags({
    includeTables: [],
    excludeTables: [],
    schemaOnlyTables: ["two"],
    tableFilters: ["filtered:i < 100"],
    timeFilters: [],
  });
  const rules = { ...read.rules, now: "2025-12-31T00:00:00.000Z" };
  await withCopy({ source: old, script: mixed, rules }, async ({ to, plan, report }) => {
    deepStrictEqual(
      (await query(to, missing)).filter(({ name }) => name !== "two"),
      [],
    );
    const analyzed = [
      ["filtered", undefined, "partial"],
      ["fresh", undefined, "never-analyzed"],
      ["grown", ["k"], "missing"],
      ["indexed", undefined, "missing"],
      ["paired", undefined, "extended"],
      ["whole", undefined, "partial"],
    ];
    const { statistics } = plan.databases[0]!;
    deepStrictEqual(
      statistics.analyzed.map(({ name, columns, reason }) => [name, columns, reason]),
      analyzed,
    );
    const found = report.databases[0]!.statistics!.analyzed
      .map(({ name, columns, reason }) => [name, columns, reason]);
    deepStrictEqual(
      found.filter(([name]) => name !== "seen" && name !== "two")
        .toSorted(([a], [b]) => String(a) < String(b) ? -1 : 1),
      analyzed,
    );
    deepStrictEqual(
      await query(to, "SELECT count(*)::int AS n FROM pg_statistic_ext_data"),
      [{ n: 1 }],
    );
  });
});

Deno.test("a role that may not read some columns' statistics has the table analyzed", async () => {
  const script = `${mixed}
    CREATE ROLE statistics_reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO statistics_reader;
    ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO statistics_reader; ANALYZE;`;
  await exec(old.url(), "CREATE DATABASE statistics TEMPLATE template0");
  try {
    await exec(old.url({ database: "statistics" }), script);
    const reader = old.url({ database: "statistics", user: "statistics_reader" });
    const { plan } = await runInit(reader, target.url(), { include: ["statistics"] });
    const to = target.url({ database: "statistics" });
    deepStrictEqual(await query(to, missing), []);
    const { analyzed } = plan.databases[0]!.statistics;
    // pg_stats shows the expressions of an index to the owner only
    deepStrictEqual(analyzed.map(({ name, reason }) => [name, reason]), [
      ["indexed", "unreadable"],
      ["paired", "extended"],
    ]);
    deepStrictEqual(
      await query(
        to,
        "SELECT count(*)::int AS n FROM pg_stats WHERE tablename = 'indexed_lower_idx'",
      ),
      [{ n: 1 }],
    );
  } finally {
    await dropDatabase(old, "statistics");
    await dropDatabase(target, "statistics");
    for (const cluster of [old, target]) {
      await exec(cluster.url(), "DROP ROLE IF EXISTS statistics_reader").catch(() => {});
    }
  }
});

Deno.test("values that the target's functions refuse are a warning there, and the columns are analyzed", async () => {
  // a domain whose check is stricter than the values that ANALYZE saw
  const script = `
    CREATE DOMAIN even AS int;
    CREATE TABLE strict (i even, j int) ${quiet};
    INSERT INTO strict SELECT i % 10, i FROM generate_series(1, 400) AS i;
    ANALYZE;
    DELETE FROM strict WHERE i % 2 = 1;
    ALTER DOMAIN even ADD CHECK (VALUE % 2 = 0);`;
  await withCopy({ source: old, script }, async ({ to, report }) => {
    deepStrictEqual(report.warnings.filter(({ object }) => object !== "role postgres"), []);
    deepStrictEqual(report.databases[0]?.statistics, {
      from: "source",
      carried: 1,
      analyzed: [{ schema: "public", name: "strict", columns: ["i"], reason: "refused" }],
    });
    const found = "SELECT most_common_vals::text AS v FROM pg_stats WHERE attname = 'i'";
    const values = String((await query(to, found))[0]?.["v"]);
    match(values, /^\{[02468,]+\}$/);
  });
});

Deno.test("a target before 18 is analyzed, --statistics analyze and none do what they say", async () => {
  const counted = "SELECT sum(analyze_count)::int AS n FROM pg_stat_user_tables";
  await withCopy({ source: old, onto: target17, script: mixed }, async ({ to, plan, report }) => {
    deepStrictEqual(await query(to, missing), []);
    const all = { from: "analyze", carried: 0, analyzed: [] };
    deepStrictEqual([plan.databases[0]?.statistics, report.databases[0]?.statistics], [all, all]);
  });
  await withCopy({ source: old, script: mixed, statistics: "analyze" }, async ({ to }) => {
    deepStrictEqual(await query(to, missing), []);
    ok(Number((await query(to, counted))[0]?.["n"]) >= 9);
  });
  await withCopy({ source: old, script: mixed, statistics: "none" }, async ({ to, report }) => {
    deepStrictEqual(
      await query(to, "SELECT count(*)::int AS n FROM pg_stats WHERE schemaname = 'public'"),
      [{ n: 0 }],
    );
    ok(!report.steps.some(({ step }) => step === "analyze"));
    strictEqual(report.databases[0]?.statistics?.from, "none");
  });
});

Deno.test("verify has a note about tables without statistics, and none when all have them", async () => {
  for (const statistics of ["none", "source"] as const) {
    await withCopy({ source: old, script: mixed, statistics }, async ({ from, to }) => {
      const report = await runVerify(from, to);
      strictEqual(report.verdict, "equal");
      const section = report.databases[0]?.sections.find((each) =>
        each.section === "planner-statistics"
      );
      const messages = section?.notes.map(({ object, message }) => `${object}: ${message}`);
      deepStrictEqual(
        messages,
        statistics === "source" ? undefined : [
          "planner statistics of 7 tables: do not exist on the target: " +
          "filtered, grown, indexed, kept, one, paired, two",
        ],
      );
    });
  }
});

Deno.test("columns in another order of values on the target are analyzed, all others are not", async () => {
  const name = "statistics";
  await exec(
    old.url(),
    `CREATE DATABASE ${name} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C'`,
  );
  await exec(target.url(), `CREATE DATABASE ${name} TEMPLATE template0 LOCALE 'C'`);
  try {
    await exec(
      old.url({ database: name }),
      `CREATE TABLE sorted (i int, t text, b text COLLATE "C") ${quiet};
       INSERT INTO sorted SELECT i, CASE i % 2 WHEN 0 THEN 'a' ELSE 'B' END || i, 'b' || i FROM generate_series(1, 1000) AS i;
       ANALYZE; INSERT INTO sorted SELECT -i, 'z', 'z' FROM generate_series(1, 1000) AS i`,
    );
    const { report } = await runInit(old.url(), target.url({ database: name }), {
      include: [name],
    });
    deepStrictEqual(report.databases[0]?.statistics, {
      from: "source",
      carried: 1,
      analyzed: [{ schema: "public", name: "sorted", columns: ["t"], reason: "differs" }],
    });
    const first =
      "SELECT attname, (histogram_bounds::text::text[])[1] AS least FROM pg_stats WHERE tablename = 'sorted' ORDER BY 1";
    deepStrictEqual(await query(target.url({ database: name }), first), [
      { attname: "b", least: "b1" },
      { attname: "i", least: "1" },
      { attname: "t", least: "B1" },
    ]);
  } finally {
    await dropDatabase(old, name);
    await dropDatabase(target, name);
  }
});

Deno.test("statistics that cannot be read, or that the target's role may not write, are left to ANALYZE with a warning", async () => {
  const script = `CREATE TABLE first (i int) ${quiet}; CREATE TABLE second (i int) ${quiet};
    INSERT INTO first SELECT generate_series(1, 300); INSERT INTO second SELECT generate_series(1, 300); ANALYZE`;
  await withCopy({ source: old, script, statistics: "none" }, async ({ from, to }) => {
    await exec(
      to,
      "CREATE ROLE statistics_writer LOGIN; GRANT MAINTAIN ON first TO statistics_writer",
    );
    try {
      const tables = ["first", "second"].map((name) => ({ schema: "public", name }));
      const carry = async (writer: string, snapshot: string | undefined) => {
        const warnings: string[] = [];
        await using carrier = new SourceStatistics({
          source: await endpointOf(from, "source"),
          target: await endpointOf(writer, "target"),
          extent: { complete: new Set(tables.map(tableKey)), hasRules: false },
          snapshot,
          signal: new AbortController().signal,
          events: (event) => event.kind === "warning" && warnings.push(event.message),
        });
        const left = await carrier.restore(tables);
        deepStrictEqual(await carrier.restore([]), []);
        return { warnings, left: left.map(({ name, reason }) => [name, reason]) };
      };
      const lost = await carry(to, "00000003-0000001B-1");
      deepStrictEqual(lost.left, [["first", "unreadable"], ["second", "unreadable"]]);
      strictEqual(lost.warnings.length, 1);
      match(lost.warnings[0]!, /^planner statistics cannot be read: /);

      const [, name] = new URL(to).pathname.split("/");
      const writer = target.url({ user: "statistics_writer", database: name! });
      const refused = await carry(writer, undefined);
      deepStrictEqual(refused.left, [["second", "refused"]]);
      match(
        refused.warnings.join(),
        /^the source's statistics cannot be restored: permission denied/,
      );
      deepStrictEqual(
        await query(to, "SELECT tablename FROM pg_stats WHERE schemaname = 'public'"),
        [
          { tablename: "first" },
        ],
      );
    } finally {
      await exec(to, "DROP OWNED BY statistics_writer; DROP ROLE statistics_writer");
    }
  });
});
