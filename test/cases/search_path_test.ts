/**
 * Cases about functions and queries with unqualified names: they are predicted, and can be copied
 * with the database's own search path.
 */
import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { type Check } from "../../lib/commands/shared/validation_report.ts";
import { setAsideObjects } from "../../lib/commands/shared/init_report.ts";
import { ReplicatorError } from "../../lib/core/internal.ts";
import { dropDatabase } from "../support/databases.ts";
import { type Case, withCase } from "../support/case.ts";
import { sharedCluster } from "../support/clusters.ts";

const source = await sharedCluster(15, { programs: "embedded" });
const target = await sharedCluster(18);
/** Before version 17, which uses a fixed search path for indexes and materialized views. */
const older = { source: await sharedCluster(12), target: await sharedCluster(15) };
const servers = { source, target };

async function warnings(it: Case, forSync = false): Promise<readonly Check[]> {
  const { checks } = await it.validate({ forSync, identity: "full" });
  return checks.filter(({ id, status }) => id.startsWith("search-path") && status === "warn");
}

/** Runs the ALTER statements of a remedy on the source. */
async function alter(it: Case, fix = ""): Promise<void> {
  const statements = fix.match(/ALTER (?:FUNCTION|PROCEDURE) .*? SET search_path = [^;]*;/g) ?? [];
  ok(statements.length > 0, fix);
  for (const statement of statements) await it.ask("source", statement);
}

Deno.test("[02] a generated column that depends on the search path is predicted; the remedy works", async () => {
  await withCase("02-generated-unqualified-function.sql", servers, async (it) => {
    const [check, ...more] = await warnings(it);
    deepStrictEqual(more, []);
    strictEqual(check?.id, "search-path-rows");
    match(
      check.finding,
      /generated column public\.pages\.slug calls public\.slug\(v text\), which names unaccent/,
    );
    await rejects(it.init(), (error: unknown) => {
      ok(error instanceof ReplicatorError);
      match(error.remedy ?? "", /ALTER FUNCTION public\.slug\(v text\) SET search_path = public;/);
      match(error.remedy ?? "", /--restore-search-path own/);
      return true;
    });
    await alter(it, check.fix);
    deepStrictEqual(await warnings(it), []);
    // a changed source structure requires a new copy
    await it.init({ resume: false });
    deepStrictEqual(await it.differences(), []);
  });
});

Deno.test("[43] a check that depends on the search path is predicted; with the remedy, changes are replicated", async () => {
  await withCase("43-sync-unqualified-check-empty.sql", servers, async (it) => {
    const [check] = await warnings(it, true);
    match(
      check?.finding ?? "",
      /check constraint public\.paints\.paints_kind_check calls public\.known_kind\(c text\), which names kinds/,
    );
    match(check?.fix ?? "", /its workers always have an empty one/);
    await alter(it, check?.fix);
    await it.initWithSync();
    await it.stream();
    strictEqual(await it.drain(), "drained");
    deepStrictEqual(await it.ask("target", "SELECT * FROM public.paints"), [{
      id: 1,
      kind: "red",
    }]);
  });
});

Deno.test("[43] the apply worker's search path is empty regardless of the database's", async () => {
  const rewrite = (script: string) =>
    `ALTER DATABASE h43 SET search_path = public; SET search_path = public;\n${script}`;
  await withCase("43-sync-unqualified-check-empty.sql", { ...servers, rewrite }, async (it) => {
    const { plan } = await it.initWithSync();
    match(plan.warnings.join("\n"), /replication may stop|rows may fail/);
    await it.stream();
    strictEqual(await it.drain(), "stuck");
  });
});

Deno.test("[03] a query inside a string is found in a materialized view", async () => {
  await withCase("03-matview-text-query.sql", servers, async (it) => {
    const [check] = await warnings(it);
    strictEqual(check?.id, "search-path-objects");
    match(check.finding, /materialized view public\.word_stats names docs without a schema/);
    ok(!/restore-search-path/.test(check.fix ?? "")); // no help from 17 on
  });
});

Deno.test("[02] --restore-search-path own computes rows with the database's search path", async () => {
  await withCase("02-generated-unqualified-function.sql", servers, async (it) => {
    await rejects(it.init(), ReplicatorError);
    // the same copy resumes with it
    const { plan } = await it.init({ restoreSearchPath: "own" });
    match(plan.warnings.join("\n"), /any role that may create functions in a schema of that path/);
    ok(!/rows may fail/.test(plan.warnings.join("\n")));
    deepStrictEqual(await it.differences(), []);
    strictEqual((await it.verify()).verdict, "equal");
  });
});

Deno.test("[03] --restore-search-path own populates materialized views before version 17", async () => {
  const rewrite = (script: string) =>
    `ALTER DATABASE h03 SET search_path = public, lib;\n${script}
     CREATE TABLE lib.parents (id int PRIMARY KEY); INSERT INTO lib.parents VALUES (1);
     CREATE TABLE lib.children (id int PRIMARY KEY, p int REFERENCES lib.parents); INSERT INTO lib.children VALUES (1, 1);
     CREATE TABLE lib.words AS SELECT body FROM lib.docs;
     CREATE FUNCTION public.known(d text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN EXISTS (SELECT FROM words WHERE body = d); END';
     CREATE INDEX docs_known ON lib.docs (public.known(body)); CREATE UNIQUE INDEX few ON lib.docs (id) WHERE public.known(body);`;
  await withCase("03-matview-text-query.sql", {
    ...older,
    rewrite,
  }, async (it) => {
    const first = await it.init();
    deepStrictEqual(setAsideObjects(first.report).map(({ object }) => object).sort(), [
      "INDEX lib.docs_known",
      "INDEX lib.few",
      "MATERIALIZED VIEW DATA public.word_stats",
    ]);
    const again = await it.init({ restoreSearchPath: "own" });
    deepStrictEqual(setAsideObjects(again.report), []);
    deepStrictEqual(await it.differences(), []);
    await dropDatabase(older.target, it.name);
    const fresh = await it.init({ restoreSearchPath: "own" });
    deepStrictEqual(setAsideObjects(fresh.report), []);
    deepStrictEqual(await it.differences(), []);
    deepStrictEqual(
      await it.ask(
        "target",
        "SELECT count(*)::int AS n FROM pg_catalog.pg_constraint WHERE NOT convalidated",
      ),
      [{ n: 0 }],
    );
  });
});

const siblings = `
  CREATE SCHEMA "My Lib";
  CREATE TABLE "My Lib".factors (f int); INSERT INTO "My Lib".factors VALUES (2);
  CREATE TYPE "My Lib".mood AS ENUM ('sad');
  CREATE FUNCTION "My Lib".twice(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
  CREATE FUNCTION "My Lib".by_call(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN twice(i); END';
  CREATE FUNCTION "My Lib".by_from(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT f * $1 FROM factors';
  CREATE FUNCTION "My Lib".by_type(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'DECLARE m mood; BEGIN m := t; RETURN m::text; END';
  CREATE FUNCTION "My Lib".by_dynamic(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ DECLARE r int; BEGIN EXECUTE 'SELECT f FROM factors' INTO r; RETURN r * i; END $$;
  CREATE FUNCTION "My Lib".through(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT "My Lib".by_call($1)';
  CREATE FUNCTION "My Lib".covered(i int) RETURNS int LANGUAGE sql IMMUTABLE SET search_path = "My Lib" AS 'SELECT twice($1)';
  CREATE FUNCTION "My Lib".parsed(i int) RETURNS int LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT "My Lib".twice(i); END;
  CREATE FUNCTION "My Lib".harmless(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
    DECLARE factors int; BEGIN WITH mine AS (SELECT 1 AS f) SELECT f INTO factors FROM mine; RETURN factors; /* FROM factors */ END $$;
  CREATE DOMAIN "My Lib".even AS int CHECK ("My Lib".by_call(VALUE) > 0);
  CREATE TABLE a (i int, t text, e "My Lib".even, CHECK ("My Lib".by_from(i) IS NOT NULL), CHECK ("My Lib".covered(i) > 0),
                  CHECK ("My Lib".parsed(i) > 0), CHECK ("My Lib".harmless(i) > 0));
  CREATE INDEX by_type_index ON a ("My Lib".by_type(t));
  CREATE UNIQUE INDEX partial ON a (i) WHERE "My Lib".by_dynamic(i) > 0;
  CREATE TABLE p (i int) PARTITION BY RANGE (("My Lib".through(i)));
  CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);
  CREATE STATISTICS st (ndistinct) ON ("My Lib".by_call(i)), t FROM a;
  CREATE VIEW v AS SELECT "My Lib".by_from(i) AS n FROM a;
  CREATE MATERIALIZED VIEW m AS SELECT n FROM v;
  CREATE TABLE d (i int DEFAULT "My Lib".by_call(1));`;

Deno.test("every kind of computed object is checked, and harmless ones are not reported", async () => {
  const rewrite = () => `SET search_path = public, "My Lib"; ${siblings}`;
  await withCase("02-generated-unqualified-function.sql", {
    ...servers,
    name: "path siblings",
    rewrite,
  }, async (it) => {
    const found = await warnings(it);
    const text = found.map(({ finding }) => finding).join("\n");
    for (
      const line of [
        'check constraint domain "My Lib".even calls "My Lib".by_call(i integer), which names twice',
        'check constraint public.a.a_i_check calls "My Lib".by_from(i integer), which names factors',
        'partition key public.p calls "My Lib".by_call(i integer), which names twice',
        'index public.by_type_index calls "My Lib".by_type(t text), which names mood',
        'index public.partial calls "My Lib".by_dynamic(i integer), which names factors',
        'statistics public.st calls "My Lib".by_call(i integer), which names twice',
        'materialized view public.m calls "My Lib".by_from(i integer), which names factors',
      ]
    ) ok(text.includes(line), `${line}\n${text}`);
    ok(!/covered|parsed|harmless|public\.d/.test(text), text);
    for (const { fix } of found) await alter(it, fix);
    deepStrictEqual(await warnings(it), []);
    await it.init();
    deepStrictEqual(await it.differences(), []);
  });
});
