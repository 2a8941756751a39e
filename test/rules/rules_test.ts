import {
  deepStrictEqual as equal,
  match,
  notStrictEqual,
  ok,
  strictEqual,
} from "node:assert/strict";
import fc from "fast-check";
import { arbitraryRules, databases, filterPatterns, identifiers } from "./arbitraries_test.ts";
import { consequencesOf, describeConsequences } from "../../lib/rules/consequences.ts";
import { decideTables } from "../../lib/rules/decide.ts";
import { canonicalScope, fingerprintScope } from "../../lib/rules/fingerprint.ts";
import {
  matchesTable,
  partsOverlap,
  printPattern,
  readFilterPattern,
  readRulePattern,
} from "../../lib/rules/name_pattern.ts";
import { inParentheses, readPredicate, withoutSchema, wordsOf } from "../../lib/rules/predicate.ts";
import { publicationProblems } from "../../lib/rules/publication.ts";
import { resolveRules } from "../../lib/rules/resolve.ts";
import type { SourceDatabase, SourceTable } from "../../lib/rules/source_tables.ts";
import {
  mergeRules,
  readRuleFlags,
  type RuleFlags,
  type TableRules,
} from "../../lib/rules/table_rules.ts";
import { cutOff, printTimeWindow, readTimeWindow } from "../../lib/rules/time_window.ts";

const noFlags: RuleFlags = {
  includeTables: [],
  excludeTables: [],
  schemaOnlyTables: [],
  tableFilters: [],
  timeFilters: [],
};
const now = "2025-08-31T12:00:00.000Z";

function read(flags: Partial<RuleFlags>): TableRules {
  const { rules, problems } = readRuleFlags({ ...noFlags, ...flags });
  equal(problems, []);
  return { ...rules, now };
}

function problemsOf(flags: Partial<RuleFlags>): readonly string[] {
  return readRuleFlags({ ...noFlags, ...flags }).problems.map(({ path, message }) =>
    `${path}: ${message}`
  );
}

function table(schema: string, name: string, facts: Partial<SourceTable> = {}): SourceTable {
  return {
    schema,
    name,
    kind: "table",
    parents: [],
    isPartition: false,
    needs: [],
    extension: undefined,
    isExtensionConfiguration: false,
    columns: [
      { name: "id", type: "integer" },
      { name: "created_at", type: "timestamp with time zone" },
      { name: "note", type: "text" },
    ],
    ...facts,
  };
}

function database(facts: Partial<SourceDatabase> = {}): SourceDatabase {
  return {
    name: "app",
    tables: [
      table("public", "orders"),
      table("analytics", "orders"),
      table("public", "customers"),
      table("public", "events", { kind: "partitioned" }),
      ...["2024", "2025"].map((year) =>
        table("public", `events_${year}`, {
          parents: [{ schema: "public", name: "events" }],
          isPartition: true,
        })
      ),
      table("public", "spatial_ref_sys", { extension: "postgis" }),
    ],
    foreignKeys: [],
    dependents: [],
    ...facts,
  };
}

function resolveProblems(flags: Partial<RuleFlags>, facts = database()): readonly string[] {
  return resolveRules(read(flags), [facts]).problems.map(({ path, message }) =>
    `${path}: ${message}`
  );
}

Deno.test("a printed pattern parses to itself, whatever characters names contain", () => {
  fc.assert(
    fc.property(filterPatterns, (pattern) => {
      const text = printPattern(pattern);
      equal(readFilterPattern(text), { value: pattern }, text);
      equal(readRulePattern(text), { value: pattern }, text);
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("a quoted name matches itself and nothing else", () => {
  fc.assert(fc.property(identifiers, identifiers, (name, other) => {
    const place = { database: "d", schema: "s", name };
    const text = printPattern({ database: ["d"], schema: ["s"], table: [name] });
    const pattern = readFilterPattern(text);
    ok("value" in pattern);
    ok(matchesTable(pattern.value, place));
    strictEqual(matchesTable(pattern.value, { ...place, name: other }), name === other);
  }));
});

Deno.test("patterns survive the comma-separated list of a flag", () => {
  fc.assert(fc.property(fc.array(filterPatterns, { minLength: 1, maxLength: 4 }), (patterns) => {
    const { rules, problems } = readRuleFlags({
      ...noFlags,
      excludeTables: [patterns.map(printPattern).join(", ")],
    });
    equal(problems, []);
    equal(rules.exclude.map(({ pattern }) => pattern), patterns);
  }));
});

Deno.test("partsOverlap() finds whether two patterns can match the same name", () => {
  for (
    const [a, b, expected] of [
      [["a", ""], ["", "b"], true],
      [["a", ""], ["b", ""], false],
      [["abc"], ["a", "c"], true],
      [["ab"], ["a", "c"], false],
      [["", ""], ["x"], true],
      [["a", "a"], ["a"], false],
      [["a", "a"], ["aa"], true],
    ] as const
  ) {
    strictEqual(partsOverlap(a, b), expected, `${a} ${b}`);
    strictEqual(partsOverlap(b, a), expected, `${b} ${a}`);
  }
});

Deno.test("a two-part name is database.table in a filter, schema.table in a rule", () => {
  const filter = read({ excludeTables: ["app.orders"] });
  equal(filter.exclude[0]?.pattern, { database: ["app"], schema: ["public"], table: ["orders"] });
  const rule = read({ schemaOnlyTables: ["analytics.orders", "orders", "app.analytics.orders"] });
  equal(rule.rows.map(({ pattern }) => pattern), [
    { database: undefined, schema: ["analytics"], table: ["orders"] },
    { database: undefined, schema: ["public"], table: ["orders"] },
    { database: ["app"], schema: ["analytics"], table: ["orders"] },
  ]);
});

Deno.test("tables with the same name in two schemas are kept apart", () => {
  const scope = decideTables(
    read({
      tableFilters: ["analytics.orders:id > 5"],
      schemaOnlyTables: ["orders"],
    }),
    database(),
  );
  strictEqual(scope.decide({ schema: "public", name: "orders" })?.outcome, "structure-only");
  strictEqual(scope.predicateOf({ schema: "analytics", name: "orders" }), "id > 5");
});

Deno.test("all problems with flags are reported at once", () => {
  const long = "x".repeat(64);
  const cases: readonly [Partial<RuleFlags>, RegExp][] = [
    [
      { includeTables: ["app.a"], excludeTables: ["app.b"] },
      /^--exclude-tables: cannot be combined with --include-tables/,
    ],
    [{ includeTables: ["orders"] }, /^--include-tables: "orders" does not name a database/],
    [{ excludeTables: ["app..orders"] }, /^--exclude-tables: "app\.\.orders" has an empty part/],
    [{ excludeTables: ['app.""'] }, /has an empty part/],
    [
      { excludeTables: ["a.b.c.d"] },
      /has 4 parts; a table name has at most three: database\.schema\.table/,
    ],
    [{ excludeTables: ["app.a,,app.b"] }, /contains an empty name/],
    [{ excludeTables: ['app."orders'] }, /has an unclosed double quote/],
    [{ excludeTables: [`app.${long}`] }, /has a part of 64 bytes/],
    [{ tableFilters: ["orders"] }, /^--table-filter: "orders" must have the form TABLE:PREDICATE/],
    [{ tableFilters: ["orders:"] }, /the predicate is empty/],
    [{ tableFilters: ["orders:id > 1; DROP TABLE orders"] }, /contains a semicolon/],
    [{ tableFilters: ["orders:note = 'x"] }, /the predicate has an unterminated quote/],
    [{ tableFilters: ['"orders:id > 1'] }, /has an unclosed double quote/],
    [{ tableFilters: ["orders:id > 1) OR (true"] }, /has an unmatched closing parenthesis/],
    [{ tableFilters: ["orders:(id > 1"] }, /has an unclosed parenthesis/],
    [{ tableFilters: ["orders:id > 1 /* x"] }, /the predicate has an unterminated comment/],
    [{ tableFilters: ["orders:id > $1"] }, /contains the parameter \$1/],
    [{ tableFilters: ["orders:-- all"] }, /contains only comments/],
    [{ tableFilters: ["orders:WHERE id > 1"] }, /begins with WHERE/],
    [{ tableFilters: ["orders:note = $x$ a"] }, /the predicate has an unterminated dollar quote/],
    [{ timeFilters: ["orders:created_at"] }, /must have the form TABLE:COLUMN:WINDOW/],
    [{ timeFilters: ["orders::6 months"] }, /has an empty column name/],
    [{ timeFilters: ["orders:c*:6 months"] }, /cannot contain a wildcard/],
    [{ timeFilters: ["orders:created_at:-6 months"] }, /"-6 months" is negative/],
    [
      { timeFilters: ["orders:created_at:6 mnths"] },
      /"mnths" is not a unit of time; did you mean months\?/,
    ],
    [{ timeFilters: ["orders:created_at:6 parsecs"] }, /"parsecs" is not a unit of time/],
    [{ timeFilters: ["orders:created_at:6"] }, /"6" has no unit/],
    [{ timeFilters: ["orders:created_at:0 days"] }, /is an empty window/],
    [{ timeFilters: ["orders:created_at:1.5 days"] }, /"1.5" is not an integer/],
    [{ timeFilters: ["orders:created_at:soon"] }, /is not a valid time window/],
    [{ timeFilters: ["orders:created_at:9999 years"] }, /longer than 1000 years/],
    [
      { schemaOnlyTables: ["orders,orders"] },
      /is a duplicate: this table already has a schema-only rule/,
    ],
    [
      { tableFilters: ["orders:id > 1", "public.orders:id > 2"] },
      /is a duplicate: this table already has a table filter/,
    ],
  ];
  for (const [flags, expected] of cases) {
    const problems = problemsOf(flags);
    strictEqual(problems.length, 1, `${JSON.stringify(flags)}: ${problems.join("\n")}`);
    match(problems[0]!, expected);
  }
  strictEqual(
    problemsOf({ includeTables: ["orders"], tableFilters: ["a:;"], timeFilters: ["x"] }).length,
    3,
  );
});

Deno.test("rules that do not fit the source are reported with suggestions", () => {
  const cases: readonly [Partial<RuleFlags>, RegExp][] = [
    [
      { excludeTables: ["app.ordrs"] },
      /^--exclude-tables: app\.public\.ordrs matches no table; did you mean app\.public\.orders/,
    ],
    [
      { excludeTables: ["app.sales.orders"] },
      /matches no table; did you mean app\.public\.orders or app\.analytics\.orders/,
    ],
    [
      { excludeTables: ["ap.orders"] },
      /names database "ap", which is not copied \(copied: app\); did you mean app\?/,
    ],
    [{ schemaOnlyTables: ["zzzzzzz"] }, /matches no table \(7 tables in app\)/],
    [{ excludeTables: ["app.spatial_ref_sys"] }, /belongs to the extension postgis/],
    [
      { timeFilters: ["orders:creatd_at:1 day"] },
      /app: orders has no column "creatd_at"; did you mean created_at\?/,
    ],
    [
      { timeFilters: ["orders:note:1 day"] },
      /column "note" of app: orders is text; a time filter requires date or timestamp/,
    ],
    [
      { schemaOnlyTables: ["orders"], tableFilters: ["orders:id > 1"] },
      /cannot have a table filter: --schema-only-tables excludes all of its rows/,
    ],
    [{ schemaOnlyTables: ["orders", "order*"] }, /app: orders already has a schema-only rule/],
    [
      { excludeTables: ["app.orders"], tableFilters: ["orders:id > 1"] },
      /is left out, so its rows cannot be filtered: --exclude-tables/,
    ],
    [{ excludeTables: ["*.*.*"] }, /excludes every table/],
  ];
  for (const [flags, expected] of cases) {
    const problems = resolveProblems(flags);
    strictEqual(problems.length, 1, `${JSON.stringify(flags)}: ${problems.join("\n")}`);
    match(problems[0]!, expected);
  }
  const view = database({
    dependents: [{ kind: "view", schema: "public", name: "recent", uses: [], usedBy: [] }],
  });
  match(resolveProblems({ excludeTables: ["app.recent"] }, view)[0]!, /is a view/);
});

Deno.test("a file may have rules for databases that this run does not copy, flags may not", () => {
  const rules = read({ schemaOnlyTables: ["shop.public.orders"] });
  const ofFile = {
    ...rules,
    rows: rules.rows.map((rule) => ({
      ...rule,
      origin: { from: "file" as const, path: "move.toml:1" },
    })),
  };
  const others = ["shop"];
  equal(resolveRules(ofFile, [database()], { others }).problems, []);
  strictEqual(resolveRules(ofFile, [database()]).problems.length, 1);
  strictEqual(resolveRules(rules, [database()], { others }).problems.length, 1);
});

Deno.test("a table filter and a time filter are combined", () => {
  const scope = decideTables(
    read({
      tableFilters: ["orders:id > 1 OR id < 0 -- some"],
      timeFilters: ["orders:created_at:6 months"],
    }),
    database(),
  );
  strictEqual(
    scope.predicateOf({ schema: "public", name: "orders" }),
    `(id > 1 OR id < 0 -- some\n) AND ("created_at" >= '2025-02-28 12:00:00+00')`,
  );
});

Deno.test("partitions follow their parent unless they have rules of their own", () => {
  const excluded = decideTables(read({ excludeTables: ["app.events"] }), database());
  const decision = excluded.decide({ schema: "public", name: "events_2024" });
  strictEqual(decision?.outcome, "left-out");
  match(decision.reason, /a partition of events: --exclude-tables/);

  const filtered = decideTables(
    read({ tableFilters: ["events:id > 1"], schemaOnlyTables: ["events_2024"] }),
    database(),
  );
  strictEqual(
    filtered.decide({ schema: "public", name: "events_2024" })?.outcome,
    "structure-only",
  );
  strictEqual(filtered.predicateOf({ schema: "public", name: "events_2025" }), "id > 1");

  const included = decideTables(read({ includeTables: ["app.events_2024"] }), database());
  const outcomes = Object.fromEntries(
    included.tables.map(({ table, decision }) => [table.name, decision.outcome]),
  );
  strictEqual(outcomes["events"], "structure-only");
  strictEqual(outcomes["events_2024"], "copied");
  strictEqual(outcomes["events_2025"], "left-out");
});

Deno.test("a flag for a table overrides the file's rules for that table only", () => {
  const flags = readRuleFlags({ ...noFlags, tableFilters: ["orders:id > 1"] }).rules;
  const file = {
    include: [],
    exclude: [],
    rows: read({ schemaOnlyTables: ["orders", "customers"] }).rows.map((rule) => ({
      ...rule,
      origin: { from: "file" as const, path: "move.toml:1" },
    })),
  };
  const merged = { ...mergeRules(flags, file), now };
  const { scopes: [scope], problems } = resolveRules(merged, [database()]);
  equal(problems, []);
  strictEqual(scope?.predicateOf({ schema: "public", name: "orders" }), "id > 1");
  strictEqual(scope?.decide({ schema: "public", name: "customers" })?.outcome, "structure-only");
});

Deno.test("either list in flags replaces both lists of the file", () => {
  const flags = read({ includeTables: ["app.orders"] });
  const file = read({ excludeTables: ["app.customers"] });
  const merged = mergeRules(flags, file);
  equal(merged.exclude, []);
  equal(merged.include, flags.include);
  equal(mergeRules(read({}), file).exclude, file.exclude);
});

Deno.test("every table gets one decision, and is created only with what it depends on", () => {
  fc.assert(
    fc.property(arbitraryRules, databases, (rules, database) => {
      const scope = decideTables(rules, database);
      strictEqual(scope.tables.length, database.tables.length);
      for (const { table, decision } of scope.tables) {
        equal(scope.decide(table), decision);
        ok(decision.reason !== "");
        if (decision.outcome === "filtered") ok(decision.predicate !== "");
        strictEqual(scope.hasRows(table), ["copied", "filtered"].includes(decision.outcome));
        if (scope.isMade(table)) { for (const parent of table.parents) ok(scope.isMade(parent)); }
        if (
          rules.exclude.some(({ pattern }) =>
            matchesTable(pattern, {
              database: database.name,
              schema: table.schema,
              name: table.name,
            })
          )
        ) strictEqual(decision.outcome, "left-out");
      }
      const { relations } = consequencesOf(scope, database);
      for (const { table, decision } of scope.tables) {
        strictEqual(
          relations.some(({ schema, name }) => schema === table.schema && name === table.name),
          decision.outcome === "left-out",
        );
      }
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("objects that depend on an excluded table are left out and reported", () => {
  const orders = { schema: "public", name: "orders" };
  const facts = database({
    foreignKeys: [
      { name: "fk_out", table: { schema: "public", name: "customers" }, references: orders },
      { name: "fk_gone", table: orders, references: { schema: "public", name: "customers" } },
      {
        name: "fk_some",
        table: { schema: "analytics", name: "orders" },
        references: { schema: "public", name: "customers" },
      },
    ],
    dependents: [
      {
        kind: "view",
        schema: "public",
        name: "v2",
        uses: [{ schema: "public", name: "v1" }],
        usedBy: [],
      },
      { kind: "view", schema: "public", name: "v1", uses: [orders], usedBy: [] },
      {
        kind: "sequence",
        schema: "public",
        name: "orders_id_seq",
        uses: [orders],
        usedBy: [orders],
      },
      {
        kind: "sequence",
        schema: "public",
        name: "shared_seq",
        uses: [orders],
        usedBy: [orders, { schema: "public", name: "customers" }],
      },
      {
        kind: "function",
        schema: "public",
        name: "f",
        detail: "integer",
        uses: [orders],
        usedBy: [],
      },
      {
        kind: "view",
        schema: "analytics",
        name: "v1",
        uses: [{ schema: "analytics", name: "orders" }],
        usedBy: [],
      },
    ],
  });
  const scope = decideTables(
    read({ excludeTables: ["app.orders"], tableFilters: ["customers:id > 1"] }),
    facts,
  );
  const consequences = consequencesOf(scope, facts);
  equal(consequences.relations.map(({ schema, name }) => `${schema}.${name}`), [
    "public.orders",
    "public.orders_id_seq",
    "public.v1",
    "public.v2",
  ]);
  equal(describeConsequences(consequences), [
    "view v1 is left out: it needs orders, which is left out",
    "function f(integer) is left out: it needs orders, which is left out",
    "view v2 is left out: it needs v1, which is left out",
    "foreign key fk_out of customers is left out: orders is not copied",
    "foreign key fk_some of analytics.orders may stay NOT VALID: not all rows of customers are copied",
  ]);
});

Deno.test("the fingerprint does not depend on order, origin or spelling", async () => {
  const databases = { app: "app", shop: "store" };
  const one = await fingerprintScope({
    databases,
    rules: read({ excludeTables: ["app.a,app.b"], timeFilters: ["t:at:12 months"] }),
  });
  const other = await fingerprintScope({
    databases: { shop: "store", app: "app" },
    rules: read({
      excludeTables: ['"app".public.b', "app.a"],
      timeFilters: ["public.t:at:1 year"],
    }),
  });
  strictEqual(one, other);
  match(one, /^[0-9a-f]{64}$/);
  strictEqual(
    one,
    "7bee524f923f43edf2337ebb9053fd82828c47f7a3f7b511cc92a0413fe35a68",
    "a fingerprint that changes between versions prevents resuming runs of older versions",
  );
});

Deno.test("different scopes have different fingerprints", async () => {
  const databases = { app: "app" };
  const scopes: readonly [Record<string, string>, Partial<RuleFlags>][] = [
    [databases, {}],
    [{ app: "other" }, {}],
    [{ app: "app", b: "b" }, {}],
    [databases, { excludeTables: ["app.t"] }],
    [databases, { includeTables: ["app.t"] }],
    [databases, { excludeTables: ["app.analytics.t"] }],
    [databases, { schemaOnlyTables: ["t"] }],
    [databases, { schemaOnlyTables: ["analytics.t"] }],
    [databases, { schemaOnlyTables: ["app.public.t"] }],
    [databases, { tableFilters: ["t:a > 1"] }],
    [databases, { tableFilters: ["t:a > 2"] }],
    [databases, { tableFilters: ["analytics.t:a > 1"] }],
    [databases, { timeFilters: ["t:a:1 day"] }],
    [databases, { timeFilters: ["t:a:2 days"] }],
    [databases, { timeFilters: ["t:b:1 day"] }],
    [databases, { timeFilters: ["analytics.t:a:1 day"] }],
    [databases, { excludeTables: ["app.*"] }],
    [databases, { excludeTables: ['app."*"'] }],
  ];
  const prints = await Promise.all(
    scopes.map(([databases, flags]) => fingerprintScope({ databases, rules: read(flags) })),
  );
  strictEqual(new Set(prints).size, scopes.length);
});

Deno.test("equal fingerprints mean equal decisions, and the order of rules does not matter", () => {
  fc.assert(
    fc.property(arbitraryRules, arbitraryRules, databases, (a, b, database) => {
      const canonical = (rules: TableRules) => canonicalScope({ databases: {}, rules });
      const shuffled = {
        ...a,
        include: [...a.include].reverse(),
        exclude: [...a.exclude].reverse(),
        rows: [...a.rows].reverse(),
      };
      strictEqual(canonical(a), canonical(shuffled));
      if (canonical(a) !== canonical(b)) return;
      const outcomes = (rules: TableRules) =>
        decideTables(rules, database).tables.map(({ decision }) => decision.outcome);
      equal(outcomes(a), outcomes(b));
    }),
    { numRuns: 5_000 },
  );
});

Deno.test("the origin of rules counts where flags and file have rules for the same tables", () => {
  const flag = { from: "flag", path: "--x" } as const;
  const file = { from: "file", path: "f:1" } as const;
  const every = { database: undefined, schema: ["", ""], table: ["", ""] };
  const one = { database: undefined, schema: ["public"], table: ["t"] };
  const canonical = (first: typeof flag | typeof file, second: typeof flag | typeof file) =>
    canonicalScope({
      databases: {},
      rules: {
        include: [],
        exclude: [],
        rows: [
          { kind: "schema-only", pattern: every, origin: first },
          { kind: "table-filter", predicate: "a > 1", pattern: one, origin: second },
        ],
      },
    });
  notStrictEqual(canonical(flag, file), canonical(file, flag));
});

Deno.test("a predicate that stays within its parentheses is accepted", () => {
  for (
    const valid of [
      "a = ';' AND b = ')'",
      "note = $q$;)$q$",
      `"we;ird)" > 1`,
      "a > 1 -- the rest; )",
      "a /* ; ) */ > 1",
      "note = E'it\\'s; )'",
      "id IN (SELECT id FROM public.t WHERE (a))",
      "note = 'it''s ;'",
    ]
  ) equal(readPredicate(valid), { value: valid });
  strictEqual(inParentheses("a -- x"), "(a -- x\n)");
  strictEqual(inParentheses("a"), "(a)");
});

Deno.test("no accepted predicate can close its parentheses early", () => {
  const characters = fc.string({ unit: fc.constantFrom(..."();'\"$-/*\\ aEe\n1"), maxLength: 30 });
  fc.assert(
    fc.property(characters, (text) => {
      const read = readPredicate(text);
      if (!("value" in read)) return;
      // seen from outside, the parenthesized predicate is a single group
      const around = readPredicate(`true AND ${inParentheses(read.value)} AND true`);
      ok("value" in around, text);
    }),
    { numRuns: 5_000 },
  );
});

Deno.test("wordsOf() finds columns, calls and subqueries", () => {
  equal(
    wordsOf(`"Odd" > now() AND lower(t.a) = 'x' AND s.f(b) < CURRENT_DATE AND id IN (SELECT 1)`),
    {
      identifiers: ["Odd", "and", "a", "b", "id", "select"],
      calls: [
        { schema: undefined, name: "now" },
        { schema: undefined, name: "lower" },
        { schema: "s", name: "f" },
        { schema: undefined, name: "in" },
      ],
      valueFunctions: ["current_date"],
      hasSubquery: true,
    },
  );
});

Deno.test("withoutSchema() leaves the table's name before its columns", () => {
  const table = { schema: "s", name: "T" };
  equal(
    withoutSchema(
      `S."T".id > 1 AND "s"."T"."x" AND s.t.id = 's."T".id' AND a.s."T".b -- s."T".id`,
      table,
    ),
    `"T".id > 1 AND "T"."x" AND s.t.id = 's."T".id' AND a.s."T".b -- s."T".id`,
  );
});

Deno.test("the start of a window is a literal, in UTC, by the calendar", () => {
  const from = (window: string, moment: string) => {
    const read = readTimeWindow(window);
    ok("value" in read);
    return cutOff(read.value, new Date(moment));
  };
  strictEqual(from("6 months", "2025-08-31T12:00:00Z"), "2025-02-28 12:00:00+00");
  strictEqual(from("1 month", "2024-03-31T00:00:00.500Z"), "2024-02-29 00:00:00.500+00");
  strictEqual(from("1 year", "2024-02-29T01:02:03Z"), "2023-02-28 01:02:03+00");
  strictEqual(from("90 days", "2025-03-31T12:00:00Z"), "2024-12-31 12:00:00+00");
  strictEqual(from("36 hours", "2025-01-02T00:00:00Z"), "2024-12-31 12:00:00+00");
  strictEqual(from("2 weeks", "2025-01-15T00:00:00Z"), "2025-01-01 00:00:00+00");
});

Deno.test("a printed window parses to itself", () => {
  for (
    const text of [
      "1 second",
      "90 seconds",
      "5 minutes",
      "36 hours",
      "90 days",
      "2 weeks",
      "6 months",
      "1 year",
    ]
  ) {
    const read = readTimeWindow(text);
    ok("value" in read, text);
    equal(readTimeWindow(printTimeWindow(read.value)), read);
  }
});

Deno.test("publicationProblems() reports what a row filter does not allow", () => {
  const facts = {
    functions: [{ name: "now", volatility: "stable" as const }],
    columns: ["id", "note"],
    systemColumns: ["ctid"],
    hasSubquery: true,
    estimate: { rows: 1, of: 2 },
  };
  equal(publicationProblems(facts, { identity: { columns: ["id"] }, sourceMajor: 14 }), [
    "PostgreSQL 14 cannot filter the rows of a publication: row filters require 15, or --apply-from here",
    "a publication's row filter cannot contain a subquery",
    "a publication's row filter cannot use the system column ctid",
    "now is stable; a publication's row filter allows only immutable functions",
    "the replica identity does not cover note: UPDATE and DELETE on the source would fail",
  ]);
  equal(
    publicationProblems(
      { ...facts, functions: [], systemColumns: [], hasSubquery: false },
      { identity: { columns: undefined }, sourceMajor: 15 },
    ),
    [],
  );
});
