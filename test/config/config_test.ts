import { deepStrictEqual as equal, match, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { unreadableName } from "../../lib/core/internal.ts";
import { identifiers } from "../rules/arbitraries_test.ts";
import { decideTables, readRuleFlags, type SourceDatabase } from "../../lib/rules/internal.ts";
import { type Config, readConfig } from "../../lib/config/read_config.ts";
import { readToml } from "../../lib/config/toml_document.ts";
import { expandVariables } from "../../lib/config/variables.ts";
import { writeChoice } from "../../lib/config/write_config.ts";

const environment: Record<string, string> = { OLD_PASSWORD: "s3cret${X}" };
const options = { name: "move.toml", lookUp: (name: string) => environment[name] };

function read(text: string): Config {
  const { config, problems } = readConfig(text, options);
  equal(problems, []);
  ok(config);
  return config;
}

function problemsOf(text: string): readonly string[] {
  return readConfig(text, options).problems.map(({ path, message }) => `${path}: ${message}`);
}

const example = `
source = "postgresql://app:\${OLD_PASSWORD}@old/app"
jobs = 4
exclude_tables = ["mydb.scratch"]
map = { mydb = "neondb" }

[databases.mydb]
schema_only = ["analytics.large_table", "public.temp"]

[[databases.mydb.table_filters]]
table = "events"
schema = "analytics"            # optional; default public; dot notation in table works too
where = "created_at > '2025-01-01'"

[[databases.mydb.table_filters]]
table = "sales.orders"
where = "id > 5"

[[databases.mydb.time_filters]]
table = "metrics"
column = "timestamp"
last = "6 months"
`;

Deno.test("a file gives what flags would give", () => {
  const config = read(example);
  strictEqual(config.source?.reveal(), "postgresql://app:s3cret${X}@old/app");
  strictEqual(`${config.source}`, "***");
  strictEqual(config.options["jobs"], "4");
  equal(config.map, { mydb: "neondb" });
  const flags = readRuleFlags({
    includeTables: [],
    excludeTables: ["mydb.scratch"],
    schemaOnlyTables: ["mydb.analytics.large_table", "mydb.public.temp"],
    tableFilters: ["mydb.analytics.events:created_at > '2025-01-01'", "mydb.sales.orders:id > 5"],
    timeFilters: ["mydb.public.metrics:timestamp:6 months"],
  }).rules;
  const withoutOrigin = (rules: typeof flags) =>
    JSON.parse(JSON.stringify(rules, (key, value) => key === "origin" ? undefined : value));
  equal(withoutOrigin(config.rules), withoutOrigin(flags));
  strictEqual(config.rules.rows[1]?.origin.path, "move.toml:8: databases.mydb.schema_only[1]");
  strictEqual(config.rules.rows[2]?.origin.path, "move.toml:10: databases.mydb.table_filters[0]");
});

Deno.test("every problem of a file is reported with its line", () => {
  const cases: readonly [string, readonly RegExp[]][] = [
    ["a = 1\njobs = ?\n", [/^move\.toml:2: is not valid TOML: .* \(column \d+\)$/]],
    ["a = 1\na = 2", [/^move\.toml:2: is not valid TOML/]],
    ['jobs = "four"', [/^move\.toml:1: jobs: is the string "four", must be a number/]],
    ["jobs = 0", [/is the number 0, must be at least 1/]],
    ["jobs = 65", [/must be at most 64/]],
    ["jobs = 1.5", [/is the number 1.5, must be a whole number/]],
    ["\njobz = 4", [/^move\.toml:2: jobz: is not a known key; did you mean jobs\?/]],
    ['copy_format = "binari"', [/is not one of auto, text, binary; did you mean binary\?/]],
    [
      '[databases.app]\nschema_onyl = ["a"]',
      [/^move\.toml:2: databases\.app\.schema_onyl: is not a known key; did you mean schema_only\?/],
    ],
    ["[databases.__proto__]\nschema_only = [1]", [
      /^move\.toml:1: databases\.__proto__: a database of this name cannot/,
    ]],
    ['[map]\n__proto__ = "other"', [
      /^move\.toml:2: map\.__proto__: a database of this name cannot/,
    ]],
    ["[databases.app]\nschema_only = [1]", [/schema_only\[0\]: is the number 1, must be a string/]],
    ['[databases]\napp = "x"', [/databases\.app: is the string "x", must be a table/]],
    [
      '[[databases.app.table_filters]]\nwhere = "a"',
      [/^move\.toml:1: databases\.app\.table_filters\[0\]\.table: is missing/],
    ],
    [
      'include_tables = ["a.b"]\nexclude_tables = ["c.d"]',
      [/^move\.toml:2: exclude_tables\[0\]: cannot be combined with move\.toml:1: include_tables\[0\]/],
    ],
    ['include_databases = ["a"]\nexclude_databases = ["b"]', [
      /:2: exclude_databases: cannot be combined/,
    ]],
    ['exclude_tables = ["orders"]', [/"orders" does not name a database/]],
    ['exclude_tables = [\n  "a.b",\n  "a..c",\n]', [
      /^move\.toml:3: exclude_tables\[1\]: "a\.\.c" has an empty part/,
    ]],
    ["exclude_tables = ['a.\"c']", [/has an unclosed double quote/]],
    ['[databases.app]\nschema_only = ["other.public.t"]', [/names a database other than "app"/]],
    ['[databases.app]\nschema_only = ["t", "public.t"]', [
      /schema_only\[1\]: is a duplicate: .*schema_only\[0\]/,
    ]],
    [
      '[[databases.app.table_filters]]\ntable = "t"\nwhere = "a; b"',
      [/contains a semicolon/],
    ],
    [
      '[[databases.app.table_filters]]\ntable = "s.t"\nschema = "u"\nwhere = "a"',
      [/names schema "u" and a different one in table "s\.t"/],
    ],
    [
      '[[databases.app.time_filters]]\ntable = "t"\ncolumn = "c"\nlast = "-3 days"',
      [/"-3 days" is negative/],
    ],
    [
      '[[databases.app.time_filters]]\ntable = "t"\ncolumn = ""\nlast = "3 eons"',
      [/has an empty column name/, /"eons" is not a unit of time/],
    ],
    ['source = "postgresql://a:${NOT_SET}@h/d"', [/variable NOT_SET is not set/]],
    ['source = "postgresql://a:${old-password}@h/d"', [/is not a reference to a variable/]],
    [
      'jobs = "x"\nfoo = 1\n[databases.app]\nbar = 2',
      [/:1: jobs/, /:2: foo/, /:4: databases\.app\.bar/],
    ],
  ];
  for (const [text, expected] of cases) {
    const problems = problemsOf(text);
    strictEqual(problems.length, expected.length, `${text}\n${problems.join("\n")}`);
    for (const [index, each] of expected.entries()) match(problems[index]!, each);
  }
});

Deno.test("a section applies to the tables of its own database only", () => {
  const { rules } = read(`
    [databases.app]
    include_tables = ["orders"]
    [databases.shop]
    exclude_tables = ["audit"]`);
  const outcomes = (name: string) =>
    decideTables({ ...rules, now: "2025-01-01T00:00:00Z" }, {
      name,
      tables: ["orders", "audit", "more"].map((table) => ({
        schema: "public",
        name: table,
        kind: "table",
        parents: [],
        isPartition: false,
        needs: [],
        extension: undefined,
        isExtensionConfiguration: false,
        columns: [],
      })),
      foreignKeys: [],
      dependents: [],
    }).tables.map(({ decision }) => decision.outcome);
  equal(outcomes("app"), ["copied", "left-out", "left-out"]);
  equal(outcomes("shop"), ["copied", "left-out", "copied"]);
  equal(outcomes("other"), ["copied", "copied", "copied"]);
  match(
    problemsOf('[databases.app]\ninclude_tables = ["a"]\nexclude_tables = ["b"]').join(),
    /cannot be combined/,
  );
});

Deno.test("messages contain no secret", () => {
  for (
    const text of [
      'source = "postgresql://a:hunter2${NOT_SET}@h/d"',
      'jobs = "postgresql://a:hunter2@h/d"',
    ]
  ) {
    const problems = problemsOf(text);
    strictEqual(problems.length, 1);
    ok(!problems.join().includes("hunter2"), problems.join());
  }
});

Deno.test("expandVariables() does not expand values", () => {
  const lookUp = (name: string) => ({ A: "${B}", EMPTY: "" })[name];
  equal(expandVariables("x${A}y${EMPTY}$${A}$A", lookUp), {
    text: "x${B}y${A}$A",
    missing: [],
    malformed: [],
  });
  equal(expandVariables("${NOPE} ${", lookUp).missing, ["NOPE"]);
  equal(expandVariables("${NOPE} ${", lookUp).malformed, ["${"]);
});

Deno.test("readToml() finds keys and elements through strings, comments and tables", () => {
  const text = [
    "a = '''", // 1
    "[not.a.table]", // 2
    "b = 1'''", // 3
    "# [nor.this]", // 4
    'list = [ "x", # ]', // 5
    '  "y",', // 6
    "  { k = 1, l.m = [1,", // 7
    "    2] } ]", // 8
    "[t.'q.r']", // 9
    'esc = "a\\"]"', // 10
    '"k\\u00e9y" = """', // 11
    '\\""" ]', // 12
    '"""', // 13
    "[[u]]", // 14
    "x = 1", // 15
    "[[u]]", // 16
    "[u.v]", // 17
    "y = 2", // 18
  ].join("\n");
  const document = readToml(text);
  ok(!("error" in document));
  const found = [
    [["a"], 1],
    [["list"], 5],
    [["list", 1], 6],
    [["list", 2, "k"], 7],
    [["list", 2, "l", "m", 1], 8],
    [["t", "q.r"], 9],
    [["t", "q.r", "esc"], 10],
    [["t", "q.r", "kéy"], 11],
    [["u", 0, "x"], 15],
    [["u", 1], 16],
    [["u", 1, "v", "y"], 18],
    [["u", 1, "v", "nothing"], 17],
  ] as const;
  for (const [path, line] of found) strictEqual(document.lineOf(path), line, path.join("."));
});

Deno.test("a saved selection reads back equal, whatever characters its names contain", () => {
  const tables = fc.uniqueArray(fc.record({ schema: identifiers, name: identifiers }), {
    maxLength: 3,
    selector: (table) => JSON.stringify(table),
  });
  const readable = identifiers.filter((name) => name !== unreadableName);
  fc.assert(fc.property(readable, readable, tables, (database, other, excluded) => {
    const text = writeChoice({
      databases: [...new Set([database, other])],
      excluded: new Map([[database, excluded]]),
    });
    const config = read(text);
    const source: SourceDatabase = {
      name: database,
      tables: [...excluded, { schema: "kept", name: "kept" }].map((table) => ({
        ...table,
        kind: "table",
        parents: [],
        isPartition: false,
        needs: [],
        extension: undefined,
        isExtensionConfiguration: false,
        columns: [],
      })),
      foreignKeys: [],
      dependents: [],
    };
    const scope = decideTables({ ...config.rules, now: "2025-01-01T00:00:00Z" }, source);
    for (const table of excluded) strictEqual(scope.decide(table)?.outcome, "left-out");
    strictEqual(scope.decide({ schema: "kept", name: "kept" })?.outcome, "copied");
  }));
});
