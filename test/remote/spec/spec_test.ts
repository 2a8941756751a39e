import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { mergeRules, readRuleFlags, type TableRules } from "../../../lib/rules/internal.ts";
import { parseUrl } from "../../../lib/postgres/internal.ts";
import {
  connectionUrlProblems,
  type JobSpecInput,
  readJobRules,
  readJobSpec,
  writeJobRules,
} from "../../../lib/remote/spec/mod.ts";

const good: JobSpecInput = {
  schema_version: "1.0",
  command: "init",
  source_url: "postgresql://me:secret@old.example.com/app",
  target_url: "postgresql://me:secret@new.example.com/app",
};

const legalUrls: Readonly<Record<string, string>> = {
  "every special character in the password, encoded":
    "postgresql://u:%3B%7C%26%40%24%27%22%20%2F%3F%23%5C%60@h/db",
  "semicolon, ampersand and dollar in the password as they stand": "postgresql://u:a;b&c$d!e@h/db",
  "IPv6": "postgresql://u@[2a01:4f8::1]:5433/db",
  "IPv6 with a zone": "postgresql://u@[fe80::1%25eth0]/db",
  "several hosts":
    "postgresql://u@a.example.com:5432,b.example.com:5433/db?target_session_attrs=read-write",
  "unicode in the database": "postgresql://u@h/größe",
  "unicode in the database, encoded": "postgresql://u@h/gr%C3%B6%C3%9Fe",
  "a database with a semicolon, encoded": "postgresql://u@h/a%3B%20DROP%20TABLE%20b",
  "a unicode host": "postgresql://u@bücher.example/db",
  "a user with an @, encoded": "postgresql://me%40corp@h/db",
  "TLS": "postgresql://u@h/db?sslmode=verify-full&sslrootcert=system&channel_binding=require",
  "server options": "postgresql://u@h/db?options=endpoint%3Dep-cool-name-123456",
  "the other scheme": "postgres://u@h",
};

for (const [what, url] of Object.entries(legalUrls)) {
  Deno.test(`accepts a job with ${what} in its URL`, () => {
    deepStrictEqual(connectionUrlProblems(url, "source_url"), []);
    ok(readJobSpec({ ...good, source_url: url }).spec);
  });
}

const refusedUrls: Readonly<Record<string, readonly [url: string, message: RegExp]>> = {
  "a statement after the database": [
    "postgresql://u@host/db; DROP TABLE users;",
    /percent-encode/,
  ],
  "the same without spaces": ["postgresql://u@host/db;DROP", /percent-encode/],
  "a shell's substitution": ["postgresql://u@$(id)/db", /percent-encode/],
  "a backtick": ["postgresql://u@`id`/db", /not valid in a URL/],
  "a pipe": ["postgresql://u@host/db|cat", /not valid in a URL/],
  "a quote": ["postgresql://u@host/db'--", /percent-encode/],
  "a newline": ["postgresql://u@host/db\nDROP", /not valid in a URL/],
  "a NUL": ["postgresql://u@host/db\0", /not valid in a URL/],
  "another scheme": ["http://host/db", /begins with/],
  "a file": ["file:///etc/passwd", /begins with/],
  "a Unix socket": ["postgresql://u@%2Fvar%2Frun%2Fpostgresql/db", /Unix socket/],
  "a Unix socket as a parameter": ["postgresql://u@/db?host=/var/run/postgresql", /Unix socket/],
  "no host": ["postgresql:///db", /no host/],
  "no user": ["postgresql://host/db", /no user/],
  "a file on the worker's machine": ["postgresql://u@host/db?passfile=/etc/shadow", /file/],
  "a key file on the worker's machine": ["postgresql://u@host/db?sslcert=/a&sslkey=/b", /file/],
  "a root certificate on the worker's machine": [
    "postgresql://u@host/db?sslrootcert=/etc/passwd",
    /system/,
  ],
  "an unknown parameter": ["postgresql://u@host/db?sslmod=require", /unknown parameter/],
  "too many bytes": [`postgresql://u@host/${"d".repeat(2048)}`, /2048 bytes/],
  "too many bytes of Unicode text": [`postgresql://u@host/${"ö".repeat(1020)}`, /2048 bytes/],
  "a bad escape": ["postgresql://u:%zz@host/db", /percent-encoding/],
};

for (const [what, [url, message]] of Object.entries(refusedUrls)) {
  Deno.test(`rejects a job with ${what} in its URL`, () => {
    const { problems } = readJobSpec({ ...good, target_url: url });
    strictEqual(problems[0]?.path, "target_url");
    match(problems[0]?.message ?? "", message);
  });
}

Deno.test("problems of a URL never quote a possible password", () => {
  const url = "postgresql://u:planted/secret@host:planted/planted@db?planted=planted";
  for (const { message } of connectionUrlProblems(url, "source_url")) {
    ok(!/planted|secret/.test(message), message);
  }
});

Deno.test("any password is valid when percent-encoded, and is decoded correctly", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: "binary", minLength: 1, maxLength: 40 }).filter((text) =>
        !text.includes("\0")
      ),
      (password) => {
        const url = `postgresql://u:${encodeURIComponent(password.toWellFormed())}@h/db`;
        deepStrictEqual(connectionUrlProblems(url, "source_url"), []);
        strictEqual(parseUrl(url, "").parts?.password, password.toWellFormed());
      },
    ),
  );
});

const refusedSpecs: Readonly<
  Record<string, readonly [change: Record<string, unknown>, path: string]>
> = {
  "an unsupported version": [{ schema_version: "2.0" }, "schema_version"],
  "no version": [{ schema_version: undefined }, "schema_version"],
  "an unknown command": [{ command: "shell" }, "command"],
  "no source": [{ source_url: undefined }, "source_url"],
  "an empty target": [{ target_url: "" }, "target_url"],
  "an unknown field": [{ callback_url: "http://x" }, "callback_url"],
  "an unknown option": [{ options: { exec: "id" } }, "options.exec"],
  "an option of another command": [{ options: { for_sync: true } }, "options.for_sync"],
  "too many workers": [{ options: { jobs: 65 } }, "options.jobs"],
  "a text for a number": [{ options: { jobs: "4" } }, "options.jobs"],
  "a mapped database whose name would be lost": [
    { filters: JSON.parse('{ "map": { "__proto__": "other" } }') },
    "filters.map.__proto__",
  ],
  "both included and excluded databases": [
    { filters: { include_databases: ["a"], exclude_databases: ["b"] } },
    "filters.exclude_databases",
  ],
  "a condition that closes its parentheses": [
    { rules: { table_filters: [{ table: "t", where: "true) OR (true" }] } },
    "rules.table_filters[0]",
  ],
  "a condition with a second statement": [
    { rules: { table_filters: [{ table: "t", where: "true; DROP TABLE t" }] } },
    "rules.table_filters[0]",
  ],
  "a filter without its database": [
    { rules: { include_tables: ["t"] } },
    "rules.include_tables[0]",
  ],
  "an invalid time window": [
    { rules: { time_filters: [{ table: "t", column: "c", last: "soon" }] } },
    "rules.time_filters[0]",
  ],
  "an excessive timeout": [{ timeout_seconds: 1e9 }, "timeout_seconds"],
};

for (const [what, [change, path]] of Object.entries(refusedSpecs)) {
  Deno.test(`rejects a job with ${what}`, () => {
    const { spec, problems } = readJobSpec({ ...good, ...change });
    strictEqual(spec, undefined);
    deepStrictEqual(problems.map((problem) => problem.path), [path]);
  });
}

Deno.test("all problems of a job are reported at once", () => {
  const { problems } = readJobSpec({
    ...good,
    source_url: "http://x",
    extra: 1,
    options: { jobs: 0 },
  });
  deepStrictEqual(problems.map(({ path }) => path).sort(), ["extra", "options.jobs", "source_url"]);
});

Deno.test("an unknown command does not hide other problems", () => {
  const { problems } = readJobSpec({
    command: "shell",
    target_url: "http://x",
    timeout_seconds: 0,
  });
  deepStrictEqual(problems.map(({ path }) => path).sort(), [
    "command",
    "schema_version",
    "source_url",
    "target_url",
    "timeout_seconds",
  ]);
});

for (const value of [null, [], "x", 1, {}]) {
  Deno.test(`${JSON.stringify(value)} is not a valid job`, () => {
    ok(readJobSpec(value).problems.length > 0);
  });
}

Deno.test("rules survive the round trip through a job", () => {
  const flags = readRuleFlags({
    includeTables: [],
    excludeTables: ['app.orders,"My DB"."S*".t*'],
    schemaOnlyTables: ["sales.archive"],
    tableFilters: ["orders:tenant = 42 AND note <> 'a:b'"],
    timeFilters: ['events:"created at":6 months'],
  });
  const file = readRuleFlags({
    includeTables: [],
    excludeTables: [],
    schemaOnlyTables: ["old"],
    tableFilters: [],
    timeFilters: [],
  });
  const fromFile = file.rules.rows.map((row) => ({
    ...row,
    origin: { ...row.origin, from: "file" as const },
  }));
  const rules: TableRules = {
    ...mergeRules(flags.rules, { ...file.rules, rows: fromFile }),
    now: "2026-01-02T03:04:05.000Z",
  };
  const { spec } = readJobSpec({ ...good, rules: writeJobRules(rules) });
  const again = readJobRules(spec!.rules);
  deepStrictEqual(again.problems, []);
  const plain = (value: unknown) =>
    JSON.parse(JSON.stringify(value, (key, inner) => key === "path" ? undefined : inner));
  const sorted = (each: Omit<TableRules, "now">) =>
    plain({
      ...each,
      now: undefined,
      rows: each.rows.toSorted((a, b) => a.kind < b.kind ? -1 : 1),
    });
  deepStrictEqual(sorted(again.rules), sorted(rules));
});

const cutover: JobSpecInput = { ...good, command: "cutover" };

Deno.test("a cutover without an action shows the status", () => {
  ok(readJobSpec(cutover).spec);
});

Deno.test("a cutover job takes the options of its action, and no others", () => {
  const { problems } = readJobSpec({
    ...cutover,
    target_from_source_url: "postgresql://me:secret@10.0.0.1/app",
    rules: { include_tables: ["app.public.orders"] },
    options: { action: "run", brownout_ms: 500, way_back: "none", max_pause_ms: 500 },
  });
  deepStrictEqual(problems.map(({ path }) => path), [
    "options.brownout_ms",
    "options.way_back",
    "target_from_source_url",
    "rules.include_tables",
  ]);
  match(problems[0]!.message, /belongs to cutover rehearse; not to cutover run/);
});

Deno.test("a rehearsal makes writers wait no longer than a switch may", () => {
  const read = (options: Record<string, unknown>) =>
    readJobSpec({ ...cutover, options: { action: "rehearse", ...options } }).problems;
  deepStrictEqual(read({ brownout_ms: 500, max_pause_ms: 500 }), []);
  deepStrictEqual(read({ brownout_ms: 30_001 }), [{
    path: "options.brownout_ms",
    message: "must not be longer than the pause that is allowed (30001 ms > 30000 ms)",
  }]);
});

Deno.test("a cutover job never has hooks, and says why", () => {
  const { problems } = readJobSpec({
    ...cutover,
    options: { action: "run", hook_before: "true", hook_switch: "rm -rf /" },
  });
  deepStrictEqual(problems.map(({ path }) => path), ["options.hook_before", "options.hook_switch"]);
  for (const { message } of problems) match(message, /does not run its clients' commands/);
});
