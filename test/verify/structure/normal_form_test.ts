import { deepStrictEqual, notDeepStrictEqual } from "node:assert/strict";
import { sameSql } from "../../../lib/verify/structure/definitions.ts";
import { normalForm } from "../../../lib/verify/structure/normal_form.ts";

/** Definitions as servers print them before a dump and after the restore. */
const same: readonly (readonly [string, string])[] = [
  [
    `CHECK (((s)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[])))`,
    `CHECK (((s)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text])))`,
  ],
  [
    `ON (s::text = ANY (ARRAY['a'::character varying]::text[])) FROM t`,
    `ON (s::text = ANY (ARRAY['a'::character varying::text])) FROM t`,
  ],
  [`((ARRAY[ARRAY['a'::name]])::text[])`, `(ARRAY[ARRAY[('a'::name)::text]])`],
  ["(((x >= 1) AND (x <= 2)) AND y)", "((x >= 1) AND (x <= 2) AND y)"],
  ["(a OR ((b OR c)) OR d)", "(a OR b OR c OR d)"],
  [" SELECT a.x\n   FROM (a LEFT JOIN b ON TRUE);", " SELECT a.x FROM (a LEFT JOIN b ON (true));"],
  ["(EXISTS ( SELECT 'x'::text FROM t))", `(EXISTS ( SELECT 'x'::text AS text FROM t))`],
  [`(EXISTS ( SELECT 1 AS "?column?" FROM t))`, `(EXISTS ( SELECT 1 FROM t))`],
  [`"json" json, x integer`, `json json, x integer`],
];

/** Definitions that must stay different. */
const other: readonly (readonly [string, string])[] = [
  ["((a AND b) OR c)", "(a AND (b OR c))"],
  ["(NOT (a AND b))", "((NOT a) AND b)"],
  ["(f(a) = 1)", "(f(a, a) = 1)"],
  [`(s = ANY (ARRAY['a'::text]))`, `(s = ANY (ARRAY['b'::text]))`],
  [`(s = ANY ((ARRAY[1, 2])::bigint[]))`, `(s = ANY ((ARRAY[1, 2])::integer[]))`],
  [`('a'::character varying(3))`, `('a'::character varying(4))`],
  [`('a'::character varying(3))`, `('a'::text)`],
  ["SELECT a.x FROM ( SELECT 1 AS x) a", "SELECT a.x FROM ( SELECT 1 AS y) a"],
  [`"Json" json`, "json json"],
  [`"true"`, "true"],
  ["SELECT x AS one FROM t", "SELECT x AS two FROM t"],
  ["WITH c AS ( SELECT 1 AS x) SELECT 2", "WITH c AS ( SELECT 1 AS y) SELECT 2"],
  ["SELECT a FROM t, ( SELECT 1 AS x) q", "SELECT a FROM t, ( SELECT 1 AS y) q"],
  [`('(a)'::text)`, `('a'::text)`],
  [`((x)::text < (y)::text)`, "(x < y)"],
];

Deno.test("normalForm() is the same for different printed forms of one definition", () => {
  for (const [one, two] of same) deepStrictEqual(normalForm(one), normalForm(two), one);
});

Deno.test("normalForm() differs for different definitions", () => {
  for (const [one, two] of other) notDeepStrictEqual(normalForm(one), normalForm(two), one);
});

Deno.test("sameSql() ignores qualifiers that only servers before 16 print", () => {
  const printed = (text: string, majorVersion: number) => ({ text, majorVersion });
  const [older, newer] = ["SELECT t.a FROM t WHERE (t.b)", "SELECT a FROM t WHERE b"] as const;
  deepStrictEqual(
    [
      sameSql(printed(older, 15), printed(newer, 16)),
      sameSql(printed(newer, 18), printed(older, 12)),
      sameSql(printed(older, 16), printed(newer, 18)),
      sameSql(printed("SELECT t.a", 15), printed("SELECT b", 16)),
      sameSql(printed("SELECT 't.a'", 15), printed("SELECT a'", 16)),
      sameSql(printed("SELECT 1.5", 15), printed("SELECT 5", 16)),
    ],
    [true, true, false, false, false, false],
  );
});
