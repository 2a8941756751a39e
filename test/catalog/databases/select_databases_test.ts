import { deepStrictEqual as equal, ok } from "node:assert/strict";
import type { Database } from "../../../lib/catalog/databases/databases.ts";
import {
  type DatabaseSelectors,
  selectDatabases,
} from "../../../lib/catalog/databases/select_databases.ts";

function database(name: string, change: Partial<Database> = {}): Database {
  return {
    name,
    oid: 1,
    sizeBytes: 1,
    owner: "postgres",
    encoding: "UTF8",
    collate: "C",
    ctype: "C",
    localeProvider: "libc",
    locale: undefined,
    icuRules: undefined,
    tablespace: "pg_default",
    isTemplate: false,
    allowConnections: true,
    isInvalid: false,
    canConnect: true,
    comment: undefined,
    providerInternal: false,
    ...change,
  };
}

const all = [
  database("app"),
  database('Odd * "name".x'),
  database("app_test"),
  database("postgres"),
  database("rdsadmin", { providerInternal: true }),
  database("template1", { isTemplate: true }),
];

function select(selectors: Partial<DatabaseSelectors>, maintenanceIsEmpty = true, databases = all) {
  const choice = selectDatabases(databases, {
    selectors: { include: [], exclude: [], map: {}, targetUrlDatabase: undefined, ...selectors },
    maintenanceIsEmpty,
  });
  return {
    ...choice,
    names: choice.selected.map(({ source, target }) =>
      source.name === target ? target : `${source.name}→${target}`
    ),
    messages: choice.problems.map(({ path, message }) => `${path}: ${message}`),
  };
}

Deno.test("selectDatabases() selects all except templates, provider databases and an empty postgres", () => {
  const { names, skipped, messages } = select({});
  equal(names, ["app", 'Odd * "name".x', "app_test"]);
  equal(skipped, [{ name: "postgres", reason: "is empty" }]);
  equal(messages, []);
});

Deno.test("selectDatabases() selects postgres when it is not empty or is named explicitly", () => {
  ok(select({}, false).names.includes("postgres"));
  equal(select({ include: ["postgres"] }).names, ["postgres"]);
  equal(select({ include: ["*"] }).names.includes("postgres"), false);
});

Deno.test("selectDatabases() supports wildcards and quotes", () => {
  equal(select({ include: ["app*"] }).names, ["app", "app_test"]);
  equal(select({ include: ["*_test", "app"] }).names, ["app", "app_test"]);
  equal(select({ exclude: ["app*"] }).names, ['Odd * "name".x']);
  equal(select({ include: ['"Odd * ""name"".x"'] }).names, ['Odd * "name".x']);
  equal(select({ include: ['"app*"'] }).names, []);
  equal(select({ include: ['"app'] }).messages, [
    '--include-databases: "app has an unclosed double quote',
  ]);
});

Deno.test("selectDatabases() reports near misses, provider databases and templates", () => {
  equal(select({ include: ["ap"] }).messages, [
    "--include-databases: ap matches no database; did you mean app?",
  ]);
  equal(select({ exclude: ["rdsadmin"] }).messages, [
    "--exclude-databases: rdsadmin is the provider's own database and is never copied",
  ]);
  equal(select({ include: ["template1"] }).messages, [
    "--include-databases: template1 is a template and is never copied",
  ]);
});

Deno.test("selectDatabases() refuses include together with exclude", () => {
  equal(select({ include: ["app"], exclude: ["app_test"] }).messages.length, 1);
});

Deno.test("selectDatabases() maps names; a single database takes the name in the target's URL", () => {
  equal(select({ map: { app: "neondb" } }).names[0], "app→neondb");
  equal(select({ include: ["app"], targetUrlDatabase: "new" }).names, ["app→new"]);
  equal(select({ include: ["app"], targetUrlDatabase: "postgres" }).names, ["app"]);
  equal(select({ include: ["app"], targetUrlDatabase: "new", map: { app: "x" } }).names, ["app→x"]);
  equal(select({ targetUrlDatabase: "new" }).names[0], "app");
});

Deno.test("selectDatabases() reports problems with --map", () => {
  equal(select({ map: { ap: "x" } }).messages, [
    '--map: "ap" is not a database of the source; did you mean app?',
  ]);
  equal(select({ include: ["app"], map: { app_test: "x" } }).messages, [
    '--map: "app_test" is not one of the selected databases',
  ]);
  equal(select({ map: { app: "app_test" } }).messages, [
    '--map: "app" and "app_test" would both become "app_test"',
  ]);
  equal(select({ map: { app: "é".repeat(32) } }).messages.length, 1);
  equal(select({ map: { app: "" } }).messages.length, 1);
  equal(select({ map: { app: "template1" } }).messages.length, 1);
});

Deno.test("selectDatabases() reports databases that cannot be read", () => {
  const databases = [
    database("closed", { allowConnections: false }),
    database("denied", { canConnect: false }),
    database("broken", { isInvalid: true }),
  ];
  equal(select({}, true, databases).skipped.length, 3);
  equal(select({}, true, databases).problems.length, 1);
  equal(select({ include: ["denied"] }, true, databases).messages, [
    '--include-databases: "denied" does not allow this role to connect (it lacks CONNECT)',
  ]);
});
