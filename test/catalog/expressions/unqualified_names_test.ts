import { deepStrictEqual } from "node:assert/strict";
import { findNames, type UserNames } from "../../../lib/catalog/expressions/unqualified_names.ts";

const of = (...names: readonly string[]) => new Map(names.map((name) => [name, ["app"]]));
const names: UserNames = {
  relations: of("kinds", "Big One", "seq"),
  functions: of("helper"),
  types: of("mood"),
  operators: of("<~~>"),
};

function found(body: string): readonly string[] {
  return findNames(body, names).unqualified.map(({ name }) => name).sort();
}

Deno.test("unqualified relations, functions, types and operators are found", () => {
  deepStrictEqual(found("SELECT count(*) FROM Kinds k JOIN x.y ON true"), ["kinds"]);
  deepStrictEqual(found('INSERT INTO "Big One" SELECT 1'), ["Big One"]);
  deepStrictEqual(found("UPDATE ONLY kinds SET a = 1"), ["kinds"]);
  deepStrictEqual(found("BEGIN RETURN Helper (1); END"), ["helper"]);
  deepStrictEqual(found("SELECT $1::mood, CAST($1 AS mood)"), ["mood"]);
  deepStrictEqual(found("DECLARE m mood; k kinds%ROWTYPE; c kinds.code%TYPE; BEGIN END"), [
    "kinds",
    "mood",
  ]);
  deepStrictEqual(found("SELECT a <~~> b"), ["<~~>"]);
  deepStrictEqual(found("SELECT nextval('seq'), 'kinds'::regclass"), ["kinds", "seq"]);
  deepStrictEqual(found("EXECUTE 'SELECT 1 FROM kinds WHERE x = ''y'''"), ["kinds"]);
});

Deno.test("qualified names, columns, variables, comments and strings are ignored", () => {
  deepStrictEqual(found("SELECT app.helper(1) FROM app.kinds"), []);
  deepStrictEqual(found("SELECT kinds, k.helper FROM app.t AS k WHERE mood = 1 -- FROM kinds"), []);
  deepStrictEqual(found("SELECT 1 INTO kinds FROM app.t"), []);
  deepStrictEqual(found("WITH kinds (a) AS MATERIALIZED (SELECT 1) SELECT * FROM kinds"), []);
  deepStrictEqual(found("RAISE 'no FROM kinds'; RETURN mood;"), []);
  deepStrictEqual(found("SELECT a IS DISTINCT FROM b, extract(year FROM c), a % b"), []);
});

Deno.test("an alias or value named like a relation or type is ignored", () => {
  deepStrictEqual(found("SELECT count(*) AS mood, (1 + 2) AS mood FROM app.t AS mood"), []);
  deepStrictEqual(found("SELECT f(cast(1 AS integer)) AS mood, (SELECT max(a AS mood)) AS x"), []);
  deepStrictEqual(found("SELECT CAST((SELECT a AS mood FROM app.t) AS text)"), []);
  deepStrictEqual(found("SELECT a IS NOT DISTINCT FROM kinds, extract(year FROM kinds)"), []);
  deepStrictEqual(found("SELECT trim(both ' ' from kinds), substring((x) from kinds for 2)"), []);
  deepStrictEqual(found("SELECT CAST((SELECT f(a) AS b FROM app.t) AS mood)"), ["mood"]);
  deepStrictEqual(found("CREATE DOMAIN app.code AS mood"), ["mood"]);
  deepStrictEqual(found("CREATE DOMAIN code AS mood"), ["mood"]);
  deepStrictEqual(found("SELECT extract(year FROM (SELECT a FROM kinds))"), ["kinds"]);
  deepStrictEqual(found("SELECT DISTINCT FROM kinds"), ["kinds"]);
});

Deno.test("functions called by qualified name are returned", () => {
  deepStrictEqual(findNames('SELECT "My App".f(app.g (1))', names).calls, [
    { schema: "My App", name: "f" },
    { schema: "app", name: "g" },
  ]);
});
