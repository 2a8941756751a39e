/** Table rules through every phase of `init`, between real servers. */
import { deepStrictEqual as equal, match, ok, rejects, strictEqual } from "node:assert/strict";
import type { InitChoices } from "../../../lib/commands/shared/complete_options.ts";
import { UsageError } from "../../../lib/core/internal.ts";
import { readRuleFlags, type RuleFlags, type TableRules } from "../../../lib/rules/internal.ts";
import { denoEnvironment, runProgram } from "../../support/cli.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { createTemplate, dropDatabase, withDatabase } from "../../support/databases.ts";
import { type InitOutcome, runInit } from "../../support/init.ts";
import { query } from "../../support/sql.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);
const oldTarget = await sharedCluster(14);

await createTemplate(
  source,
  "rules_shop",
  `
  CREATE SCHEMA analytics; CREATE SCHEMA "Odd.Schema";
  CREATE TABLE customers (id serial PRIMARY KEY, name text);
  INSERT INTO customers (name) SELECT 'c' || i FROM generate_series(1, 100) i;
  CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer int REFERENCES customers,
                       at timestamptz NOT NULL, note text);
  INSERT INTO orders (customer, at, note)
    SELECT 1 + i % 100, '2025-01-01'::timestamptz + i * interval '1 hour', repeat(md5(i::text), 10)
      FROM generate_series(1, 20000) i;
  CREATE TABLE analytics.orders (id int PRIMARY KEY, customer int REFERENCES public.customers, day date);
  INSERT INTO analytics.orders SELECT i, 1 + i % 100, '2025-01-01'::date + i FROM generate_series(1, 500) i;
  CREATE INDEX ON orders (at); CREATE INDEX ON analytics.orders (day);
  COMMENT ON TABLE orders IS 'bought'; COMMENT ON TABLE analytics.orders IS 'counted';
  CREATE TABLE lines (o int REFERENCES orders, n int);
  INSERT INTO lines SELECT 1 + i % 20000, i FROM generate_series(1, 1000) i;
  CREATE VIEW recent AS SELECT * FROM orders WHERE at > '2025-06-01';
  CREATE VIEW on_recent AS SELECT count(*) FROM recent;
  CREATE MATERIALIZED VIEW totals AS SELECT customer, count(*) FROM analytics.orders GROUP BY 1;
  CREATE INDEX ON totals (customer);
  GRANT SELECT ON recent, orders, analytics.orders TO PUBLIC;
  CREATE FUNCTION of_orders() RETURNS SETOF orders LANGUAGE sql AS 'SELECT * FROM public.orders';
  COMMENT ON FUNCTION of_orders() IS 'gone with the table';
  CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
  CREATE TRIGGER stamp BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION stamp();
  ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
  CREATE POLICY buyers ON customers USING (id IN (SELECT customer FROM orders));
  CREATE POLICY named ON customers USING (name <> '');
  CREATE TABLE events (id int, at timestamp NOT NULL, c int REFERENCES customers) PARTITION BY RANGE (at);
  CREATE TABLE events_24 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
  CREATE TABLE events_25 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
  INSERT INTO events SELECT i, '2024-01-01'::timestamp + i * interval '1 day', 1 + i % 100 FROM generate_series(1, 700) i;
  CREATE TABLE "Odd.Schema"."a ""b"".c, d" (id int);
  INSERT INTO "Odd.Schema"."a ""b"".c, d" VALUES (1), (2), (3);
  ANALYZE;
`,
);

function rulesOf(flags: Partial<RuleFlags>): TableRules {
  const { rules, problems } = readRuleFlags({
    includeTables: [],
    excludeTables: [],
    schemaOnlyTables: [],
    tableFilters: [],
    timeFilters: [],
    ...flags,
  });
  equal(problems, []);
  return { ...rules, now: "2025-12-31T00:00:00.000Z" };
}

type Copied = InitOutcome & {
  readonly from: (sql: string) => Promise<unknown>;
  readonly to: (sql: string) => Promise<unknown>;
};

/**
 * Copies the shop under the rules. `from` and `to` return the single value of a query on each side.
 */
async function copyShop(
  flags: (database: string) => Partial<RuleFlags>,
  use: (copied: Copied) => Promise<void>,
  { onto = target, ...options }: Partial<Omit<InitChoices, "databases">> & {
    readonly onto?: typeof target;
  } = {},
): Promise<void> {
  await withDatabase(source, "rules_shop", async ({ name, url }) => {
    try {
      const outcome = await runInit(url, onto.url(), {
        include: [name],
        rules: rulesOf(flags(name)),
        ...options,
      });
      const value = async (on: string, sql: string) =>
        Object.values((await query(on, sql))[0] ?? {})[0];
      await use({
        ...outcome,
        from: (sql) => value(url, sql),
        to: (sql) => value(onto.url({ database: name }), sql),
      });
    } finally {
      await dropDatabase(onto, name);
    }
  });
}

const relations =
  `SELECT string_agg(format('%s.%s', n.nspname, c.relname), ' ' ORDER BY n.nspname, c.relname)
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'i', 'I') AND n.nspname !~ '^(pg_|information_schema)'`;

const native = await runProgram("pg_dump", ["--version"], { env: denoEnvironment() }).catch(() =>
  undefined
);
const nativeMajor = Number(/ (\d+)/.exec(native?.stdout ?? "")?.[1] ?? 0);

Deno.test("tables with the same name in two schemas are kept apart: one left out, one filtered", async () => {
  await copyShop((db) => ({
    excludeTables: [`${db}.orders`],
    tableFilters: ["analytics.orders:id <= 7"],
  }), async ({ to, report, plan }) => {
    strictEqual(await to(`SELECT to_regclass('public.orders')::text`), null);
    strictEqual(await to("SELECT count(*)::int FROM analytics.orders"), 7);
    strictEqual(await to("SELECT obj_description('analytics.orders'::regclass)"), "counted");
    strictEqual(await to("SELECT count(*)::int FROM customers"), 100);
    strictEqual(await to("SELECT count(*)::int FROM lines"), 1000);
    const there = String(await to(relations)).split(" ");
    ok(there.includes("analytics.orders_pkey") && there.includes("public.totals"));
    for (
      const gone of [
        "public.orders",
        "public.orders_id_seq",
        "public.orders_at_idx",
        "public.recent",
        "public.on_recent",
      ]
    ) {
      ok(!there.includes(gone), gone);
    }
    equal(await to("SELECT array_agg(polname)::text FROM pg_policy"), "{named}");
    strictEqual(await to("SELECT count(*)::int FROM pg_proc WHERE proname = 'of_orders'"), 0);
    strictEqual(
      await to("SELECT count(*)::int FROM pg_constraint WHERE conname = 'lines_o_fkey'"),
      0,
    );
    strictEqual(
      await to("SELECT sum(count)::int FROM totals"),
      7,
      "the materialized view is of what is there",
    );
    const messages = report.warnings.map(({ message, object }) => `${object}: ${message}`).join(
      "\n",
    );
    match(messages, /view recent is left out: it needs orders/);
    match(messages, /view on_recent is left out: it needs recent/);
    match(
      messages,
      /FUNCTION .*of_orders.*left out, because it needs an object that a rule excludes/,
    );
    match(messages, /foreign key lines_o_fkey of lines is left out: orders is not copied/);
    match(
      messages,
      /POLICY .*buyers.*left out, because it needs an object that a rule excludes/,
    );
    const reasons = Object.fromEntries(
      plan.databases[0]!.decisions.map((
        { schema, name, outcome },
      ) => [`${schema}.${name}`, outcome]),
    );
    strictEqual(reasons["public.orders"], "left-out");
    strictEqual(reasons["analytics.orders"], "filtered");
    const planned = plan.databases[0]!.tables.find(({ schema }) => schema === "analytics");
    ok(planned!.rowEstimate! < 20, "the estimate considers the filter");
  });
});

const dumps = nativeMajor >= 15 ? ["embedded", "native"] as const : ["embedded"] as const;
if (dumps.length < 2) console.log("      skipped: no pg_dump of 15 or newer here to run");
for (const dump of dumps) {
  Deno.test(`the other one left out, the first divided into parts and filtered (${dump})`, async () => {
    await copyShop((db) => ({
      excludeTables: [`${db}.analytics.orders`],
      tableFilters: ["orders:id % 3 = 0 OR note = ';--' -- some"],
      timeFilters: ["orders:at:3 months"],
    }), async ({ from, to, report }) => {
      const facts = "SELECT count(*)::int || ' ' || sum(hashtext(t::text)) FROM orders AS t";
      const expected = await from(`${facts} WHERE id % 3 = 0 AND at >= '2025-09-30 00:00:00+00'`);
      strictEqual(await to(facts), expected);
      strictEqual(await to(`SELECT to_regclass('analytics.orders')::text`), null);
      strictEqual(await to(`SELECT to_regclass('totals')::text`), null);
      strictEqual(await to("SELECT obj_description('orders'::regclass)"), "bought");
      strictEqual(await to("SELECT count(*)::int FROM pg_policy"), 2);
      const parts = report.timeline.filter(({ label }) => /^orders \d+\/\d+$/.test(label));
      ok(parts.length > 1, "copied in parts");
      strictEqual(await to("SELECT last_value::int FROM orders_id_seq"), 20_000);
    }, {
      splitBytes: 1024 * 1024,
      // an installed pg_dump may not support the newest server
      onto: dump === "native" ? oldTarget : target,
      tools: { dump, binDirectory: undefined, environment: denoEnvironment() },
    });
  });
}

for (const onto of [oldTarget, target]) {
  Deno.test(`foreign keys to filtered rows stay NOT VALID, with their orphans counted (${onto.major})`, async () => {
    await copyShop(() => ({
      tableFilters: ["customers:id <= 40"],
      schemaOnlyTables: ["lines"],
    }), async ({ to, report }) => {
      const valid = (table: string) =>
        to(
          `SELECT bool_and(convalidated) FROM pg_constraint WHERE contype = 'f' AND conrelid = '${table}'::regclass`,
        );
      strictEqual(await valid("orders"), false);
      strictEqual(await valid("analytics.orders"), false);
      strictEqual(await valid("lines"), true, "no rows, no orphans");
      strictEqual(await valid("events_24"), false);
      const orphans = report.warnings.filter(({ message }) =>
        /without a parent, because the rules do not copy all of customers/.test(message)
      );
      const lines = orphans.map(({ object, message }) => `${object}: ${message.split(" ")[0]}`);
      ok(lines.includes('foreign key "orders_customer_fkey" of orders: 12,000'), lines.join("\n"));
      ok(
        lines.includes('foreign key "orders_customer_fkey" of analytics.orders: 300'),
        lines.join("\n"),
      );
      // those of a partitioned table are reported for each partition
      ok(lines.some((each) => /"events_c_fkey" of events_24/.test(each)), lines.join("\n"));
      strictEqual(await to("SELECT count(*)::int FROM lines"), 0);
      strictEqual(await to("SELECT count(*)::int FROM events"), 700);
    }, { onto });
  });
}

Deno.test("schema-only tables have everything except rows; a filter on a partitioned table applies to its partitions", async () => {
  await copyShop(() => ({
    schemaOnlyTables: ["orders", '"Odd.Schema"."a ""b"".c, d"'],
    timeFilters: ["events:at:1 year"],
  }), async ({ to, report, plan }) => {
    strictEqual(await to("SELECT count(*)::int FROM orders"), 0);
    strictEqual(await to(`SELECT count(*)::int FROM "Odd.Schema"."a ""b"".c, d"`), 0);
    strictEqual(
      await to(
        "SELECT count(*)::int FROM pg_index WHERE indrelid = 'orders'::regclass AND indisvalid",
      ),
      2,
    );
    strictEqual(await to("SELECT count(*)::int FROM pg_trigger WHERE tgname = 'stamp'"), 1);
    strictEqual(
      await to("SELECT last_value::int FROM orders_id_seq"),
      20_000,
      "sequences continue",
    );
    // one year back from the end of 2025: the last of the 366 days of 2024
    strictEqual(await to("SELECT min(at)::text FROM events"), "2024-12-31 00:00:00");
    ok(
      !report.databases[0]!.tables.some(({ schema, name }) =>
        schema === "public" && name === "orders"
      ),
    );
    const event = plan.databases[0]!.decisions.find(({ name }) => name === "events_25");
    strictEqual(event?.predicate, `"at" >= '2024-12-31 00:00:00+00'`);
  });
});

Deno.test("only included tables are copied, with the parents of a partition", async () => {
  await copyShop((db) => ({
    includeTables: [`${db}.events_25`, `${db}."Odd.Schema".*`],
  }), async ({ to }) => {
    strictEqual(
      await to(
        `SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm') AND relnamespace::regnamespace::text !~ '^(pg_|information_schema)'`,
      ),
      'a "b".c, d events events_25',
    );
    strictEqual(await to("SELECT count(*)::int FROM events"), 335);
    strictEqual(await to(`SELECT count(*)::int FROM "Odd.Schema"."a ""b"".c, d"`), 3);
  });
});

Deno.test("rules that do not match the source are all reported at once, and nothing is changed", async () => {
  await withDatabase(source, "rules_shop", async ({ name, url }) => {
    const run = runInit(url, target.url(), {
      include: [name],
      rules: rulesOf({
        excludeTables: [`${name}.ordrs`],
        tableFilters: ["customers:nmae = 'x'", "analytics.orders:id"],
        timeFilters: ["events:id:1 day"],
      }),
    });
    await rejects(run, (error) => {
      ok(error instanceof UsageError);
      const lines = error.problems.map(({ path, message }) => `${path}: ${message}`);
      strictEqual(lines.length, 4, lines.join("\n"));
      match(lines.join("\n"), /--exclude-tables: .*ordrs matches no table; did you mean .*orders/);
      match(
        lines.join("\n"),
        /--table-filter: .*customers: the source refuses the predicate: column "nmae" does not exist/,
      );
      match(
        lines.join("\n"),
        /analytics\.orders: the source refuses the predicate: argument of AND must be type boolean/,
      );
      match(lines.join("\n"), /--time-filter: column "id" of .*: events is integer/);
      return true;
    });
    equal(await query(target.url(), "SELECT FROM pg_database WHERE datname = $1", [name]), []);
  });
});

Deno.test("a table that may not be read can be left out", async () => {
  await query(source.url(), "DROP ROLE IF EXISTS rules_reader");
  await query(source.url(), "CREATE ROLE rules_reader LOGIN");
  await withDatabase(source, "rules_shop", async ({ name, url, urlFor }) => {
    try {
      await query(url, "CREATE TABLE secret AS SELECT 1 AS i");
      await query(url, "CREATE TABLE plain AS SELECT 1 AS i");
      await query(url, "GRANT SELECT ON plain TO rules_reader");
      const reader = urlFor({ user: "rules_reader" });
      const only = (...tables: readonly string[]) =>
        runInit(reader, target.url(), {
          include: [name],
          rules: rulesOf({ includeTables: tables.map((table) => `${name}.${table}`) }),
        });
      await rejects(only("secret", "plain"), /prerequisite/);
      const { report } = await only("plain");
      equal(report.databases[0]!.tables.map((table) => table.name), ["plain"]);
    } finally {
      await dropDatabase(target, name);
      await query(url, "DROP OWNED BY rules_reader");
    }
  });
  await query(source.url(), "DROP ROLE rules_reader");
});

Deno.test("hundreds of tables with arbitrary names are left out, and no others", async () => {
  await withDatabase(source, undefined, async ({ name, url }) => {
    const odd = [
      "a|b",
      "a.b",
      "a*",
      "(a",
      "[a]",
      "a$",
      'a"b',
      "a\\b",
      "A",
      "a?",
      "^a",
      "{a}",
      "a+",
      "ä b",
    ];
    const create = odd.map((table) => `CREATE TABLE "${table.replaceAll('"', '""')}" ()`);
    await query(
      url,
      `DO $do$ BEGIN
      FOR i IN 1..600 LOOP EXECUTE format('CREATE TABLE %I (id int)', 'Table no. ' || i); END LOOP;
    END $do$`,
    );
    for (
      const sql of [...create, "CREATE TABLE kept ()", "CREATE TABLE a ()", "CREATE TABLE b ()"]
    ) {
      await query(url, sql);
    }
    try {
      const quoted = odd.map((table) => `${name}."${table.replaceAll('"', '""')}"`);
      await runInit(url, target.url(), {
        include: [name],
        rules: rulesOf({ excludeTables: [...quoted, `${name}."Table no. "*`] }),
      });
      const rows = await query(
        target.url({ database: name }),
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1",
      );
      equal(rows.map(({ relname }) => relname), ["a", "b", "kept"]);
    } finally {
      await dropDatabase(target, name);
    }
  });
});
