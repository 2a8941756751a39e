/** Options of columns, tables and indexes between servers that support different ones. */
import { deepStrictEqual as equal, ok, rejects } from "node:assert/strict";
import { openSession, resolveEndpoint } from "../../../lib/postgres/internal.ts";
import { installedMajors } from "../../../lib/cluster/mod.ts";
import {
  applyStatements,
  dumpSchema,
  type DumpTool,
  findInstalledTools,
  readDump,
  SchemaError,
} from "../../../lib/schema/internal.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { createDatabase } from "../../support/databases.ts";
import { runInit } from "../../support/init.ts";
import { withRepeats } from "../../support/long.ts";
import { query } from "../../support/sql.ts";

const script = await Deno.readTextFile(new URL("../../cases/50-plain-1520.sql", import.meta.url)) +
  `
  CREATE TABLE k (a int, b text, c text GENERATED ALWAYS AS (b || 'x') STORED);
  ALTER TABLE k ALTER a SET (n_distinct = 5), ALTER b SET (n_distinct_inherited = -0.5);
  CREATE VIEW kv AS SELECT * FROM k;
  CREATE MATERIALIZED VIEW km AS SELECT * FROM k;
  CREATE TABLE kp (a int) PARTITION BY RANGE (a);
  CREATE TABLE kp1 PARTITION OF kp FOR VALUES FROM (0) TO (10);
  CREATE TYPE kt AS (x int, y text);
  CREATE INDEX kg ON k USING brin (a) WITH (pages_per_range = 16);
  CREATE SCHEMA "set"; CREATE TABLE "set"."SET (pg_attver=1)" ("SET (" int);`;

/** Debian's newest 15 if installed; otherwise the embedded one, which tests less. */
const patched = (await installedMajors()).includes(15)
  ? await sharedCluster(15, { programs: "installed" })
  : await sharedCluster(15);
const plain = await sharedCluster(15, { programs: "embedded" });
const newest = await sharedCluster(18);
/** Does not know security_invoker. */
const older = await sharedCluster(14);

const embedded: DumpTool = { kind: "embedded", major: 18, description: "embedded pg_dump 18" };
const environment = Deno.env.toObject();
const tools: DumpTool[] = [embedded];
for (const installed of await findInstalledTools({ binDirectory: undefined, environment })) {
  const { major, version } = installed;
  if (major < 15) continue;
  tools.push({ kind: "native", environment, description: `pg_dump ${version}`, ...installed });
}

const optionsOfColumns = `
  SELECT a.attrelid::pg_catalog.regclass || '.' || a.attname AS column, o AS option
    FROM pg_catalog.pg_attribute AS a, pg_catalog.unnest(a.attoptions) AS o
   WHERE a.attrelid >= 16384 AND a.attnum > 0 AND o NOT LIKE 'pg\\_%'
   ORDER BY 1, 2`;

for (const tool of tools) {
  for (const [from, to] of [[patched, plain], [patched, newest], [plain, patched]] as const) {
    Deno.test(`server-internal options are not copied: ${from.programs.build} to ${to.programs.build} with ${tool.description}`, async () => {
      await using source = await createDatabase(from, script);
      await using target = await createDatabase(to, "");
      const statements = await dumpSchema({
        endpoint: await resolveEndpoint(source.url, { side: "source" }),
        tool,
      });
      equal(statements.filter(({ sql }) => /SET \(pg_/.test(sql.replaceAll(/"[^"]*"/g, ""))), []);
      await using session = await openSession(
        await resolveEndpoint(target.url, { side: "target" }),
      );
      equal(await applyStatements(session, statements), []);
      equal(await query(target.url, optionsOfColumns), [
        { column: "k.a", option: "n_distinct=5" },
        { column: "k.b", option: "n_distinct_inherited=-0.5" },
      ]);
    });
  }
}

const pairs = withRepeats([[patched, plain]], [[plain, patched], [patched, patched]]);

for (const [from, to] of pairs) {
  Deno.test(`init copies ${from.programs.build} to ${to.programs.build} without warnings`, async () => {
    await using source = await createDatabase(from, script);
    await using target = await createDatabase(to, "");
    const { events } = await runInit(source.url, target.url, {
      include: [source.name],
      map: { [source.name]: target.name },
    });
    equal(
      events.filter((event) => event.kind === "warning" && event.object !== "role postgres"),
      [],
    );
    equal(await query(target.url, "SELECT count(*)::int AS n FROM public.t"), [{ n: 10 }]);
  });
}

/** Applies statements to a database of the newest version. */
async function apply(sql: string) {
  await using target = await createDatabase(newest, "");
  await using session = await openSession(await resolveEndpoint(target.url, { side: "target" }));
  const adaptations = await applyStatements(session, readDump(sql));
  const options = await query(
    target.url,
    `SELECT relname AS name, reloptions::text AS options FROM pg_catalog.pg_class
      WHERE oid >= 16384 AND relkind <> 't' AND relnamespace = 'public'::pg_catalog.regnamespace ORDER BY 1`,
  );
  return { messages: adaptations.map(({ message }) => message), options };
}

Deno.test("options that the target does not support are dropped and reported", async () => {
  const { messages, options } = await apply(`
    CREATE TABLE public.set (options int, v text)
      WITH (fillfactor='70', unheard_of='1', autovacuum_enabled='false', other.thing='x');
    ALTER TABLE ONLY public.set ALTER COLUMN options SET (n_distinct=5, of_tomorrow=1);
    ALTER TABLE ONLY public.set ALTER COLUMN v SET (of_tomorrow=1);
    INSERT INTO public.set VALUES (1, 'a');
    CREATE INDEX set_v ON public.set USING btree (v) WITH (first='1', fillfactor='60', second='2');
    ALTER TABLE ONLY public.set ADD CONSTRAINT set_pkey PRIMARY KEY (options) WITH (first='1', fillfactor='50');
    CREATE VIEW public.v WITH (security_barrier='true', third='4') AS SELECT set.v AS with FROM public.set;
    CREATE MATERIALIZED VIEW public.m WITH (fillfactor='40', third='3') AS SELECT 1 AS a WITH NO DATA;`);
  equal(options, [
    { name: "m", options: "{fillfactor=40}" },
    { name: "set", options: "{fillfactor=70,autovacuum_enabled=false}" },
    { name: "set_pkey", options: "{fillfactor=50}" },
    { name: "set_v", options: "{fillfactor=60}" },
    { name: "v", options: "{security_barrier=true}" },
  ]);
  equal(
    messages.map((message) => /^created without the options? (.*?), which/.exec(message)?.[1]),
    [
      "unheard_of, other.thing",
      "of_tomorrow",
      "of_tomorrow",
      "first, second",
      "first",
      "third",
      "third",
    ],
  );
});

Deno.test("a view is never created without an option that hides rows", async () => {
  await using target = await createDatabase(plain, "");
  await using old = await openSession(await resolveEndpoint(target.url, { side: "target" }));
  for (const option of ["security_invoker", '"security_invoker"']) {
    await rejects(
      applyStatements(
        old,
        readDump(`CREATE VIEW public.v WITH (${option}='maybe', third='4') AS SELECT 1;`),
      ),
      SchemaError,
    );
  }
  equal(await query(target.url, "SELECT 1 FROM pg_catalog.pg_views WHERE viewname = 'v'"), []);
});

Deno.test("init sets aside a view whose option to hide rows the target does not support", async () => {
  await using source = await createDatabase(
    plain,
    "CREATE VIEW v WITH (security_invoker = true, security_barrier = true) AS SELECT 1 AS a;",
  );
  await using target = await createDatabase(older, "");
  const { report } = await runInit(source.url, target.url, {
    include: [source.name],
    map: { [source.name]: target.name },
  });
  equal(report.databases[0]?.setAside?.map(({ object }) => object), ["VIEW public.v"]);
  equal(await query(target.url, "SELECT 1 FROM pg_catalog.pg_views WHERE viewname = 'v'"), []);
});

Deno.test("finding the supported options keeps the caller's transaction open", async () => {
  await using target = await createDatabase(newest, "");
  await using session = await openSession(await resolveEndpoint(target.url, { side: "target" }));
  const statements = readDump(`
    CREATE TABLE public.t (a int) WITH ("fillfactor"='70', "unheard_of"='1');
    CREATE INDEX i ON public.t (a) WITH (first='1');`);
  await session.transaction(async () => {
    const adaptations = await applyStatements(session, statements, { inTransaction: true });
    equal(adaptations.length, 2);
    equal(await session.query("SELECT FROM pg_catalog.pg_class WHERE relname IN ('t', 'i')"), [
      {},
      {},
    ]);
    equal(await query(target.url, "SELECT FROM pg_catalog.pg_class WHERE relname = 't'"), []);
  });
  equal(await query(target.url, "SELECT reloptions FROM pg_catalog.pg_class WHERE relname = 't'"), [
    { reloptions: "{fillfactor=70}" },
  ]);
});

Deno.test("options that the target's foreign-data wrapper does not support are dropped", async () => {
  const { messages } = await apply(`
    CREATE EXTENSION postgres_fdw WITH SCHEMA public;
    CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'h', unheard_of 'x');
    CREATE FOREIGN TABLE public.f (a integer) SERVER s OPTIONS (table_name 'g');
    ALTER FOREIGN TABLE ONLY public.f ALTER COLUMN a OPTIONS (column_name 'pg_attver', unheard_of 'x');`);
  equal(messages.length, 2);
  ok(messages.every((message) => message.startsWith("created without the option unheard_of,")));
});

Deno.test("a statement refused for another reason is still an error", async () => {
  await rejects(
    apply("CREATE TABLE public.t (a pg_catalog.numeric(5000,2)) WITH (fillfactor='70');"),
    (error) => error instanceof SchemaError && error.sqlState === "22023",
  );
});

Deno.test("supported options of an index are found under the search_path that it is built under", async () => {
  await using target = await createDatabase(
    plain, // from 17 on the server builds indexes under its own path
    `CREATE TABLE words (w text); INSERT INTO words VALUES ('a'); CREATE TABLE t (v text);
     INSERT INTO t VALUES ('a');
     CREATE FUNCTION known(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
       'BEGIN RETURN EXISTS (SELECT FROM words WHERE w = $1); END'`,
  );
  const endpoint = await resolveEndpoint(target.url, { side: "target" });
  await using session = await openSession({ ...endpoint, ownSearchPath: true });
  const statements = readDump(
    `--\n-- Name: t_known; Type: INDEX; Schema: public; Owner: -\n--\n
CREATE INDEX t_known ON public.t USING btree (public.known(v)) WITH (fillfactor='60', unheard_of='1');`,
  );
  equal(statements.map(({ type }) => type), ["INDEX"]);
  const [adaptation] = await applyStatements(session, statements);
  ok(adaptation?.message.startsWith("created without the option unheard_of,"));
  equal(
    await query(target.url, "SELECT reloptions FROM pg_catalog.pg_class WHERE relname = 't_known'"),
    [{ reloptions: "{fillfactor=60}" }],
  );
});
