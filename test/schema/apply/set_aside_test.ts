import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { ServerError } from "../../../lib/postgres/internal.ts";
import type { DumpStatement } from "../../../lib/schema/parse/dump_reader.ts";
import { retryInRounds } from "../../../lib/schema/apply/retry_rounds.ts";
import {
  CauseFinder,
  concernsOneObject,
  holdsRows,
  type SetAsideStatement,
} from "../../../lib/schema/apply/set_aside.ts";

function refusal(sqlState: string, schema?: string): ServerError {
  return new ServerError({ sqlState, message: "no", schema }, { side: "target", object: "db" });
}

function item(statement: DumpStatement, sqlState = "42P01"): SetAsideStatement {
  return { statement, error: refusal(sqlState), context: [], remedy: undefined };
}

Deno.test("retryInRounds() retries as long as a round makes progress", async () => {
  const done = new Set<string>();
  const needs: Readonly<Record<string, string>> = { a: "b", b: "c", x: "y", y: "x" };
  let attempts = 0;
  const left = await retryInRounds(["a", "b", "c", "x", "y"], (each) => {
    attempts++;
    const need = needs[each];
    const works = need === undefined || done.has(need);
    if (works) done.add(each);
    return Promise.resolve(works);
  });
  deepStrictEqual(left, ["x", "y"]);
  strictEqual(attempts, 5 + 4 + 3 + 2);
});

Deno.test("a cause is found by qualified names, ignoring case and quotes", () => {
  const view = item({
    sql: 'CREATE VIEW "My Schema"."A.b" AS SELECT 1;',
    type: "VIEW",
    schema: "My Schema",
    name: "A.b",
  }, "42703");
  const over = item({
    sql: 'CREATE VIEW public.w AS SELECT x FROM "My Schema" . "A.b";',
    type: "VIEW",
    schema: "public",
    name: "w",
  });
  const grant: DumpStatement = {
    sql: "GRANT SELECT ON TABLE public.W TO x;",
    type: "ACL",
    schema: "public",
    name: "TABLE w",
  };
  const finder = new CauseFinder([view, over]);
  strictEqual(finder.rootOf(over), view);
  strictEqual(finder.rootOf(item(grant)), view);
  strictEqual(
    finder.causeOf({ ...grant, sql: "GRANT SELECT ON public.other TO x;", name: "o" }, {
      sqlState: "42P01",
    }),
    undefined,
  );
  strictEqual(finder.causeOf(grant, { sqlState: "42501" }), undefined);
  // in a string it is not a name
  strictEqual(
    finder.causeOf({ sql: "COMMENT ON TABLE public.t IS 'public.w';", type: "COMMENT" }, {
      sqlState: "42P01",
    }),
    undefined,
  );
});

Deno.test("a missing function is attributed to an extension, a missing role is not", () => {
  const extension = item({
    sql: "CREATE EXTENSION IF NOT EXISTS fuzzy WITH SCHEMA public;",
    type: "EXTENSION",
    name: "fuzzy",
  });
  const finder = new CauseFinder([extension]);
  const causeOf = (sql: string, sqlState: string) => finder.causeOf({ sql }, { sqlState });
  for (
    const sql of [
      "GRANT SELECT ON TABLE public.t TO reader;",
      "REVOKE ALL ON TABLE public.t FROM reader;",
      "ALTER TABLE public.t OWNER TO reader;",
    ]
  ) strictEqual(causeOf(sql, "42704"), undefined, sql);
  strictEqual(causeOf("GRANT ALL ON FUNCTION public.near(text) TO x;", "42883"), extension);
  strictEqual(causeOf("COMMENT ON EXTENSION fuzzy IS 'x';", "42704"), extension);
  strictEqual(causeOf("CREATE TABLE public.t (a public.fuzz);", "42704"), extension);
});

Deno.test("tables and attached partitions hold rows; foreign tables, views and attributes do not", () => {
  const is = (sql: string, type: string) => holdsRows({ sql, type });
  strictEqual(is("CREATE TABLE a.b (i integer);", "TABLE"), true);
  strictEqual(is("CREATE UNLOGGED TABLE a.b (i integer);", "TABLE"), true);
  strictEqual(is("ALTER TABLE ONLY a.b ATTACH PARTITION a.c DEFAULT;", "TABLE ATTACH"), true);
  strictEqual(is("CREATE FOREIGN TABLE a.b (i integer) SERVER s;", "FOREIGN TABLE"), false);
  strictEqual(is("ALTER TABLE a.b OWNER TO me;", "TABLE"), false);
  strictEqual(is("CREATE VIEW a.v AS SELECT 1;", "VIEW"), false);
});

Deno.test("a read-only server and a lost ledger concern all statements", () => {
  strictEqual(concernsOneObject(refusal("42883")), true);
  strictEqual(concernsOneObject(refusal("23505", "public")), true);
  strictEqual(concernsOneObject(refusal("25006")), false);
  strictEqual(concernsOneObject(refusal("23502", "seren_ledger")), false);
});

Deno.test("hundreds of rejected views are searched in reasonable time", () => {
  const columns = Array.from({ length: 40 }, (_, at) => `"t"."c${at}" AS "d${at}"`).join(", ");
  const items = Array.from({ length: 400 }, (_, at) =>
    item({
      sql: `CREATE VIEW "public"."v${at}" AS SELECT ${columns} FROM "public"."t${at}" AS "t";`,
      type: "VIEW",
      schema: "public",
      name: `v${at}`,
    }));
  const begun = performance.now();
  // each error is compared with all earlier ones
  for (const [at, { statement, error }] of items.entries()) {
    strictEqual(new CauseFinder(items.slice(0, at)).causeOf(statement, error), undefined);
  }
  strictEqual(performance.now() - begun < 60_000, true);
});
