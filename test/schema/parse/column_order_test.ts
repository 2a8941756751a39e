/** Child tables, and columns that store values of their row types. */
import { deepStrictEqual as equal, ok, rejects } from "node:assert/strict";
import { ReplicatorError } from "../../../lib/core/internal.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { compareDatabases } from "../../support/compare.ts";
import { createDatabase, type TestDatabase } from "../../support/databases.ts";
import { runInit } from "../../support/init.ts";
import { withRepeats } from "../../support/long.ts";
import { exec, query } from "../../support/sql.ts";

const cases = await Promise.all(
  ["24-inherit-order.sql", "29-rowtype-order-silent.sql"].map((file) =>
    Deno.readTextFile(new URL(`../../cases/${file}`, import.meta.url))
  ),
);

/** All properties of columns and parents, and orders that need several steps. */
const siblings = `
  CREATE SCHEMA "Other";
  CREATE FUNCTION public.positive(integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0';
  CREATE TABLE "Other"."P;" (id serial PRIMARY KEY, "a, b" text COLLATE "C" DEFAULT ',(' NOT NULL, CHECK (id > 0));
  CREATE TABLE public."P;" (id integer NOT NULL, x numeric(10,2), CONSTRAINT only_here CHECK (x > 0) NO INHERIT);
  CREATE TABLE "Other".kid (own integer[] DEFAULT ARRAY[1, 2], id integer, CONSTRAINT own_check CHECK (own IS NOT NULL))
    INHERITS ("Other"."P;", public."P;") WITH (fillfactor = 70);
  ALTER TABLE "Other"."P;" ADD COLUMN late integer NOT NULL DEFAULT 7, ADD COLUMN g integer GENERATED ALWAYS AS (id * 2) STORED,
    ADD CONSTRAINT late_check CHECK (public.positive(late));
  ALTER TABLE public."P;" ADD COLUMN late integer, ADD COLUMN last text;
  ALTER TABLE public."P;" ALTER COLUMN last SET STORAGE EXTERNAL;
  ALTER TABLE "Other".kid ALTER COLUMN late SET DEFAULT 8, ADD COLUMN own_last text, ALTER COLUMN x SET NOT NULL;
  CREATE UNLOGGED TABLE public.grandkid (y integer) INHERITS ("Other".kid);
  ALTER TABLE "Other".kid ADD COLUMN very_late timestamptz DEFAULT '2020-01-01';
  ALTER TABLE public."P;" DROP COLUMN last, ADD COLUMN last text;
  CREATE TABLE public.adopted (last text, id integer NOT NULL, late integer, x numeric(10,2), z integer);
  ALTER TABLE public.adopted INHERIT public."P;";
  CREATE DOMAIN public.kids AS "Other".kid[];
  CREATE TYPE public.pair AS (one "Other".kid, two public.kids);
  CREATE TABLE public.stored (id integer PRIMARY KEY, pair public.pair);
  INSERT INTO "Other".kid (id, x, own_last) VALUES (1, 2, 'l'), (2, 3, NULL);
  INSERT INTO public.grandkid (id, x, y) VALUES (3, 4, 5);
  INSERT INTO public.stored SELECT 1, ROW(k, ARRAY[k]::public.kids)::public.pair FROM "Other".kid AS k WHERE id = 1;`;

const columns = `
  SELECT n.nspname, c.relname, a.attname, a.attnum - (
           SELECT count(*)::int FROM pg_attribute AS d WHERE d.attrelid = c.oid AND d.attisdropped AND d.attnum BETWEEN 1 AND a.attnum) AS place,
         a.attislocal, a.attinhcount, a.attnotnull, a.attgenerated::text, pg_get_expr(d.adbin, d.adrelid) AS expression
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname IN ('public', 'Other')
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
   WHERE c.relkind IN ('r', 'p') ORDER BY 1, 2, 4`;
const checks = `
  SELECT conrelid::regclass::text AS table, conname, conislocal, coninhcount, connoinherit, pg_get_constraintdef(oid) AS definition
    FROM pg_constraint WHERE contype = 'c' AND conrelid <> 0 ORDER BY 1, 2`;

async function copy(from: TestDatabase, to: TestDatabase) {
  const { events } = await runInit(from.url, to.url, {
    include: [from.name],
    map: { [from.name]: to.name },
  });
  return events.filter((event) => event.kind === "warning" && event.object !== "role postgres");
}

const source = await sharedCluster(15);
const target = await sharedCluster(18);
const others = {
  12: await sharedCluster(12),
  18: await sharedCluster(18, { settings: { jit: "off" } }),
};
const columnNotNull = `
  CREATE TABLE public.plain (a integer, b integer);
  CREATE TABLE public.strict (c integer) INHERITS (public.plain);
  ALTER TABLE public.strict ALTER COLUMN b SET NOT NULL;`;

const pairs = withRepeats([[source, target]], [[target, others[18]], [source, others[12]]]);

for (const [one, other] of pairs) {
  Deno.test(`child tables keep the order of their columns from ${one.major} to ${other.major}`, async () => {
    for (const script of [cases.join("\n"), siblings + columnNotNull]) {
      await using from = await createDatabase(one, script);
      await using to = await createDatabase(other, "");
      equal(await copy(from, to), []);
      equal(await query(to.url, columns), await query(from.url, columns));
      equal(await query(to.url, checks), await query(from.url, checks));
      // before 15 the default owner and privileges of public differ
      const differences = (await compareDatabases(from.url, to.url))
        .filter(({ kind }) => other.major >= 15 || kind !== "schema");
      equal(differences, []);
      equal(
        await query(to.url, "SELECT 1 FROM pg_namespace WHERE nspname LIKE 'seren%order%'"),
        [],
      );
    }
  });
}

const rows = "SELECT (was).class, (was).own, (was).late FROM public.history ORDER BY id LIMIT 1";

Deno.test("stored row values keep their attributes", async () => {
  await using one = await createDatabase(source, cases[1]!);
  await using other = await createDatabase(target, "");
  equal(await copy(one, other), []);
  equal(await query(other.url, rows), [{ class: "c1", own: "own1", late: "late1" }]);
});

const impossible = `
  CREATE TABLE public.parent (g integer GENERATED ALWAYS AS (base + 1) STORED, base integer);
  CREATE TABLE public.child (own integer) INHERITS (public.parent);
  ALTER TABLE public.parent ADD COLUMN late integer;
  INSERT INTO public.child (own, late) VALUES (1, 2);`;

Deno.test("an order that cannot be kept is reported, and tables that store such rows are not copied", async () => {
  await using one = await createDatabase(source, impossible);
  await using other = await createDatabase(target, "");
  const [warning, ...rest] = await copy(one, other);
  equal(rest, []);
  ok(warning?.kind === "warning" && warning.object === "TABLE public.child");
  ok(warning.message.startsWith("its columns are in a different order than on the source"));

  await exec(one.url, "CREATE TABLE public.stored AS SELECT c FROM public.child AS c");
  await using another = await createDatabase(target, "");
  await rejects(
    copy(one, another),
    (error) =>
      error instanceof ReplicatorError && error.details.includes("Column order differs: child"),
  );
  equal(await query(another.url, "SELECT 1 FROM public.stored"), []);
});
