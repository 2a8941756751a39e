import { deepStrictEqual as equal, ok, rejects } from "node:assert/strict";
import {
  type Endpoint,
  openSession,
  resolveEndpoint,
  withDatabase,
} from "../../../lib/postgres/internal.ts";
import {
  applyGlobals,
  applyStatements,
  classifyPostData,
  dumpGlobals,
  dumpSchema,
  dumpSchemaText,
  type DumpStatement,
  type DumpTool,
  findInstalledTools,
  readDump,
  revokeTemporaryMemberships,
  SchemaError,
} from "../../../lib/schema/internal.ts";
import type { Cluster } from "../../../lib/cluster/mod.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { withRepeats } from "../../support/long.ts";
import { exec, query } from "../../support/sql.ts";
import { startTestCluster } from "../../support/test_cluster.ts";

const embedded: DumpTool = { kind: "embedded", major: 18, description: "embedded pg_dump 18" };
const environment = Deno.env.toObject();
const [newest] = await findInstalledTools({ binDirectory: undefined, environment });

/** As many kinds of objects as possible, without those that only one version has. */
function schemaScript(major: number): string {
  return String.raw`
    CREATE ROLE app_owner; CREATE ROLE "Reader; x"; CREATE ROLE granter;
    CREATE SCHEMA "App;" AUTHORIZATION app_owner;
    GRANT USAGE ON SCHEMA "App;" TO "Reader; x", granter;
    COMMENT ON SCHEMA public IS 'it''s ours';
    CREATE EXTENSION pg_trgm WITH SCHEMA "App;";
    SET search_path = "App;", public;
    SET ROLE app_owner;
    CREATE TYPE mood AS ENUM ('sad', 'it''s "ok"', 'Ünï');
    CREATE DOMAIN posint AS int CHECK (VALUE > 0);
    CREATE TYPE pair AS (a int, "B;" text);
    CREATE TABLE parent (id bigint GENERATED ALWAYS AS IDENTITY, at date NOT NULL, m mood, PRIMARY KEY (id, at))
      PARTITION BY RANGE (at);
    CREATE TABLE "parent 2020" PARTITION OF parent FOR VALUES FROM ('2020-01-01') TO ('2021-01-01') PARTITION BY RANGE (id);
    CREATE TABLE "parent 2020 sad" PARTITION OF "parent 2020" FOR VALUES FROM (MINVALUE) TO (MAXVALUE);
    CREATE INDEX parent_m ON parent (m);
    CREATE TABLE node (id serial PRIMARY KEY, up int REFERENCES node DEFERRABLE, t text COLLATE "C", p posint,
      g int GENERATED ALWAYS AS (id * 2) STORED, r int4range, EXCLUDE USING gist (r WITH &&), UNIQUE (t, p));
    CREATE INDEX node_trgm ON node USING gin (t gin_trgm_ops);
    CREATE INDEX node_expression ON node ((t || ';'), lower(t)) WHERE id > 5;
    ALTER INDEX node_expression ALTER COLUMN 1 SET STATISTICS 500;
    COMMENT ON INDEX node_expression IS E'a;\n-- Name: x; Type: y; Schema: z; Owner: w\n';
    ALTER TABLE node CLUSTER ON node_pkey;
    ALTER TABLE node REPLICA IDENTITY USING INDEX node_pkey;
    ALTER TABLE node ADD CONSTRAINT late CHECK (t <> 'x') NOT VALID;
    CREATE TABLE child (extra text) INHERITS (node);
    CREATE VIEW grouped AS SELECT id, t FROM node GROUP BY id;
    CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n, m FROM parent GROUP BY m;
    CREATE UNIQUE INDEX counted_m ON counted (m);
    CREATE MATERIALIZED VIEW of_grouped AS SELECT * FROM grouped;
    CREATE INDEX of_grouped_id ON of_grouped (id);
    CREATE FUNCTION "f;"(a int, b text DEFAULT ';') RETURNS int LANGUAGE plpgsql AS $f$ BEGIN RETURN 1; END; -- ; $$
    $f$;
    CREATE FUNCTION tr() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER tr BEFORE UPDATE OF t ON node FOR EACH ROW WHEN (OLD.t <> ';') EXECUTE FUNCTION tr('a;');
    ${
    major < 14 ? "" : String.raw`
    CREATE FUNCTION atomic(a int) RETURNS int BEGIN ATOMIC SELECT CASE a WHEN 1 THEN 2 ELSE 3 END; SELECT a; END;
    CREATE TABLE compressed (t text COMPRESSION pglz);`
  }
    CREATE RULE r AS ON DELETE TO child DO ALSO (NOTIFY a; NOTIFY b);
    ALTER TABLE node ENABLE ROW LEVEL SECURITY; ALTER TABLE node FORCE ROW LEVEL SECURITY;
    CREATE POLICY "p;" ON node FOR SELECT TO "Reader; x" USING (t = ';');
    CREATE STATISTICS st (dependencies) ON t, p FROM node;
    GRANT SELECT (t), UPDATE (p) ON node TO "Reader; x";
    GRANT SELECT ON parent TO granter WITH GRANT OPTION;
    ALTER DEFAULT PRIVILEGES IN SCHEMA "App;" GRANT SELECT ON TABLES TO "Reader; x";
    RESET ROLE; SET ROLE granter;
    GRANT SELECT ON "App;".parent TO "Reader; x";
    RESET ROLE;
    CREATE FUNCTION public.ev() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
    CREATE EVENT TRIGGER ev ON ddl_command_end EXECUTE FUNCTION public.ev();
    COMMENT ON EVENT TRIGGER ev IS 'last';
    ${major < 15 ? "" : `CREATE UNLOGGED SEQUENCE public.us;`}`;
}

const sources = {
  12: await sharedCluster(12),
  15: await sharedCluster(15),
  18: await sharedCluster(18),
};
for (const [major, cluster] of Object.entries(sources)) {
  await exec(cluster.url(), "CREATE DATABASE app");
  await exec(cluster.url({ database: "app" }), schemaScript(Number(major)));
}

async function endpointOf(
  cluster: Cluster,
  side: "source" | "target",
  user?: string,
): Promise<Endpoint> {
  const url = cluster.url({ database: "app", ...(user === undefined ? {} : { user }) });
  return await resolveEndpoint(url, { side });
}

/** Statements in the order in which `init` applies them. */
async function statementsOf(endpoint: Endpoint, tool: DumpTool): Promise<readonly DumpStatement[]> {
  const after = classifyPostData(await dumpSchema({ endpoint, tool, section: "post-data" }));
  return [
    ...await dumpSchema({ endpoint, tool, section: "pre-data" }),
    ...after.settings,
    ...after.perTable.flatMap(({ statements }) => statements),
    ...after.attach,
    ...after.foreignKeys,
    ...after.rest,
    ...after.eventTriggers,
  ];
}

const withoutVersion = (text: string) =>
  text.split("\n").filter((line) => !/^-- Dumped (?:from|by)|^\\(?:un)?restrict/.test(line)).join(
    "\n",
  );

/** The entries of a dump, with owners, in order. */
const entriesOf = (text: string) =>
  readDump(text).flatMap(({ sql, ...entry }) =>
    entry.name === undefined || entry.schema === undefined
      ? []
      : [{ ...entry, verb: sql.slice(0, 12) }]
  );

async function copyGlobals(source: Cluster, target: Endpoint) {
  await using from = await openSession(await endpointOf(source, "source"));
  await using to = await openSession(withDatabase(target, "postgres"));
  return await applyGlobals(
    to,
    await dumpGlobals({ session: from, tool: embedded, databases: ["app"] }),
  );
}

const native: DumpTool | undefined = newest === undefined
  ? undefined
  : { kind: "native", description: "", environment, ...newest };

for (
  const [from, to, tool] of withRepeats(
    [[12, 18, embedded], [15, 15, native], [18, 18, embedded]],
    [[12, 12, native], [15, 18, embedded]],
  )
) {
  Deno.test({
    name: `a schema of ${from} copied to ${to} with the ${tool?.kind} pg_dump has the same dump`,
    ignore: tool === undefined || tool.major < from,
    async fn() {
      if (tool === undefined) return;
      await using cluster = await startTestCluster({ major: to });
      await exec(cluster.url(), "CREATE DATABASE app");
      const source = await endpointOf(sources[from], "source");
      const target = await endpointOf(cluster, "target");
      await copyGlobals(sources[from], target);
      const statements = await statementsOf(source, tool);
      let last = 0;
      {
        await using session = await openSession(target, { computesValues: true });
        const adapted = await applyStatements(session, statements, {
          onProgress: ({ done }) => last = done,
        });
        equal(adapted, []);
      }
      equal(last, statements.length);
      const [expected, actual] = await Promise.all(
        [source, target].map((endpoint) => dumpSchemaText({ endpoint, tool: embedded })),
      );
      // other major versions format some expressions and default privileges differently
      const normalize = from === to ? withoutVersion : entriesOf;
      equal(normalize(actual ?? ""), normalize(expected ?? ""));
    },
  });
}

Deno.test("a schema of 18 is copied to 12 as far as 12 supports it", async () => {
  await using cluster = await startTestCluster({ major: 12 });
  await exec(cluster.url(), "CREATE DATABASE app");
  const target = await endpointOf(cluster, "target");
  await copyGlobals(sources[18], target);
  const statements = (await statementsOf(await endpointOf(sources[18], "source"), embedded))
    .filter(({ name }) => !name?.startsWith("atomic")); // syntax of 14
  await using session = await openSession(target, { computesValues: true });
  const adapted = await applyStatements(session, statements);
  equal(adapted.map(({ object }) => object), ["TABLE App;.compressed", "SEQUENCE public.us"]);
});

Deno.test("a refused statement fails with object, side, SQLSTATE and SQL", async () => {
  await using cluster = await startTestCluster({ major: 12 });
  await using session = await openSession(
    await resolveEndpoint(cluster.url(), { side: "target" }),
  );
  const statements: DumpStatement[] = [
    { sql: "CREATE TABLE public.a ();", type: "TABLE", schema: "public", name: "a" },
    {
      sql: "CREATE FUNCTION public.x() RETURNS int\nBEGIN ATOMIC\n SELECT 1;\nEND;",
      type: "FUNCTION",
      schema: "public",
      name: "x()",
    },
  ];
  await rejects(applyStatements(session, statements), (error) => {
    ok(error instanceof SchemaError);
    equal(error.side, "target");
    equal(error.object, "FUNCTION public.x()");
    equal(error.sqlState, "42601");
    ok(error.details.includes("SQL: CREATE FUNCTION public.x() RETURNS int"));
    ok(error.remedy?.includes("too old"));
    return true;
  });
  // the statement before it in the batch took effect
  equal(await query(cluster.url(), "SELECT 'a'::regclass::text AS name"), [{ name: "a" }]);
});

for (const major of [15, 18] as const) {
  Deno.test(`a role without superuser on ${major} keeps owners and privileges, and refusals are reported`, async () => {
    await using cluster = await startTestCluster({ major });
    await exec(cluster.url(), "CREATE ROLE migrator LOGIN CREATEROLE CREATEDB");
    await exec(cluster.url(), "CREATE DATABASE app OWNER migrator");
    const target = await endpointOf(cluster, "target", "migrator");
    const globals = await copyGlobals(sources[15], target);
    await using session = await openSession(target, { computesValues: true });
    const statements = await statementsOf(await endpointOf(sources[15], "source"), embedded);
    const adapted = await applyStatements(session, statements);
    await revokeTemporaryMemberships(session, globals.temporaryMemberships);
    const kinds = new Set(adapted.map(({ message }) => message.split(":")[0]));
    equal([...kinds].sort(), [
      "event trigger not copied",
      "remains owned by the role that the tool connects as",
    ]);
    const url = cluster.url({ database: "app" });
    const owned = (url: string) =>
      query(
        url,
        `SELECT c.oid::regclass::text AS name, c.relowner::regrole::text AS owner, replace(c.relacl::text, 'xtm/', 'xt/') AS acl -- MAINTAIN is part of ALL from 17 on
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname = 'App;' AND relkind IN ('r','p','v','m','S') ORDER BY 1`,
      );
    equal(await owned(url), await owned(sources[15].url({ database: "app" })));
  });
}
