import { deepStrictEqual as equal, ok } from "node:assert/strict";
import { embeddedMajors } from "../../lib/cluster/mod.ts";
import { SHOP_ROLES, shopSql } from "../../lib/demo/mod.ts";
import { CORPUS, loadCorpus, NASTY_NAMES } from "../corpus/mod.ts";
import { sharedCluster } from "../support/clusters.ts";
import { compareDatabases, compareRoles, describe } from "../support/compare.ts";
import { contentOf, storedRelations } from "../support/compare/content.ts";
import { createTemplate, withDatabase } from "../support/databases.ts";
import { startLoad } from "../support/load.ts";
import { withRepeats } from "../support/long.ts";
import { exec, query, withSession } from "../support/sql.ts";
import { startTestCluster } from "../support/test_cluster.ts";
import { waitUntil } from "../support/wait.ts";

/** CREATE DATABASE … TEMPLATE copies neither. */
const NOT_OF_TEMPLATE = ["database", "database setting"];

const newest = await sharedCluster(18);
const oldest = await sharedCluster(embeddedMajors().includes(12) ? 12 : 15);

const majors = withRepeats([oldest.major, newest.major], embeddedMajors())
  .filter((major, at, all) => all.indexOf(major) === at);

for (const major of majors) {
  Deno.test(`the corpus loads into PostgreSQL ${major}, equals itself and equals its copy`, async () => {
    await using cluster = await startTestCluster({ major });
    await exec(cluster.url(), "CREATE DATABASE corpus TEMPLATE template0");
    const loaded = await loadCorpus(cluster, "corpus");
    equal(loaded.length, CORPUS.filter((entry) => entry.minMajor <= major).length);
    const url = cluster.url({ database: "corpus" });
    if (major === 18) equal(describe(await compareDatabases(url, url)), "");
    await exec(cluster.url(), "CREATE DATABASE copy TEMPLATE corpus");
    const copy = cluster.url({ database: "copy" });
    equal(describe(await compareDatabases(url, copy, { ignore: NOT_OF_TEMPLATE })), "");
    equal(describe(await compareRoles(url, copy)), "");
    // there is something to compare
    ok((await compareDatabases(url, cluster.url())).length > 100);
  });
}

Deno.test("the corpus loaded into the oldest and the newest version compares equal", async () => {
  const entries = CORPUS.filter((entry) => entry.minMajor <= oldest.major);
  for (const cluster of [oldest, newest]) {
    await createTemplate(cluster, "both", "");
    await loadCorpus(cluster, "both", entries);
  }
  const [source, target] = [oldest, newest].map((each) => each.url({ database: "both" })) as [
    string,
    string,
  ];
  // schema public has a different owner since version 15; passwords are salted
  equal(describe(await compareDatabases(source, target, { ignore: [/^schema public/] })), "");
  equal(describe(await compareRoles(source, target, { ignore: ["role password"] })), "");
});

Deno.test("no nasty name is longer than PostgreSQL allows", () => {
  const lengths = NASTY_NAMES.map((name) => new TextEncoder().encode(name).length);
  equal(Math.max(...lengths), 63);
});

/** Changes to the copy, and exactly the difference that must be found. */
const PLANTED: readonly (readonly [what: string, sql: string, found: RegExp])[] = [
  ["a value", "UPDATE p.t SET n = n + 0.01 WHERE id = 50", /^table content p\.t checksum$/],
  ["NULL in place of ''", "UPDATE p.t SET t = NULL WHERE id = 2", /^table content p\.t checksum$/],
  ["-0 in place of 0", "UPDATE p.t SET f = '-0' WHERE id = 3", /^table content p\.t checksum$/],
  [
    "two values that changed rows",
    "UPDATE p.t SET t = CASE id WHEN 7 THEN '8' ELSE '7' END WHERE id IN (7, 8)",
    /^table content p\.t checksum$/,
  ],
  ["a missing row", "DELETE FROM p.t WHERE id = 9", /^table content p\.t (rows|checksum)$/],
  ["a row twice", "INSERT INTO p.no_key VALUES (1)", /^table content p\.no_key (rows|checksum)$/],
  [
    "a row without columns",
    "INSERT INTO p.empty DEFAULT VALUES",
    /^table content p\.empty (rows|checksum)$/,
  ],
  [
    "a row in another partition",
    "ALTER TABLE p.part DISABLE TRIGGER USER; UPDATE p.part SET id = 150 WHERE id = 50",
    /^table content p\.part_[12] (rows|checksum)$/,
  ],
  [
    "a child's row in the parent",
    "DELETE FROM p.child; INSERT INTO p.parent VALUES (1)",
    /^table content p\.(child|parent) (rows|checksum)$/,
  ],
  [
    "a materialized view that is stale",
    "REFRESH MATERIALIZED VIEW p.mv WITH DATA",
    /^table content p\.mv (rows|checksum)$/,
  ],
  [
    "a materialized view without data",
    "REFRESH MATERIALIZED VIEW p.mv WITH NO DATA",
    /^relation p\.mv relispopulated$/,
  ],
  ["a sequence's value", "SELECT setval('p.s', 8)", /^sequence value p\.s/],
  ["a sequence that was not called", "SELECT setval('p.s', 7, false)", /^sequence value p\.s/],
  ["a sequence's step", "ALTER SEQUENCE p.s INCREMENT 2", /^sequence p\.s seqincrement$/],
  ["a sequence's owner column", "ALTER SEQUENCE p.s OWNED BY NONE", /^sequence p\.s owned_by$/],
  [
    "a missing table",
    "DROP TABLE p.empty_typed",
    /^(relation|column) p\.empty_typed(\.a)? existence$/,
  ],
  [
    "a missing column",
    "ALTER TABLE p.no_key ADD COLUMN x integer",
    /^column p\.no_key\.x existence$|^table content p\.no_key checksum$/,
  ],
  [
    "a column's type",
    "ALTER TABLE p.empty_typed ALTER a TYPE varchar(9)",
    /^column p\.empty_typed\.a type$/,
  ],
  [
    "a column's default",
    "ALTER TABLE p.t ALTER n SET DEFAULT 2",
    /^column p\.t\.n default_expression$/,
  ],
  [
    "a column's storage",
    "ALTER TABLE p.t ALTER t SET STORAGE EXTERNAL",
    /^column p\.t\.t storage$/,
  ],
  ["a missing index", "DROP INDEX p.by_n", /^index p\.by_n existence$/],
  [
    "an invalid index",
    "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'p.by_n'::regclass",
    /^index p\.by_n indisvalid$/,
  ],
  ["CLUSTER ON", "ALTER TABLE p.t CLUSTER ON by_n", /^index p\.by_n indisclustered$/],
  [
    "a missing constraint",
    "ALTER TABLE p.t DROP CONSTRAINT positive",
    /^constraint p\.t\.positive existence$/,
  ],
  [
    "a constraint that is not validated",
    "UPDATE pg_constraint SET convalidated = false WHERE conname = 'positive'",
    /^constraint p\.t\.positive (convalidated|definition)$/,
  ],
  ["a disabled trigger", "ALTER TABLE p.t DISABLE TRIGGER tr", /^trigger p\.t\.tr enabled$/],
  [
    "disabled foreign keys",
    "ALTER TABLE p.no_key DISABLE TRIGGER ALL",
    /^foreign key trigger p\.no_key\.fk existence$/,
  ],
  ["a disabled rule", "ALTER TABLE p.t DISABLE RULE ru", /^rule p\.t\.ru enabled$/],
  ["row security", "ALTER TABLE p.t ENABLE ROW LEVEL SECURITY", /^relation p\.t relrowsecurity$/],
  [
    "forced row security",
    "ALTER TABLE p.t FORCE ROW LEVEL SECURITY",
    /^relation p\.t relforcerowsecurity$/,
  ],
  ["a policy", "ALTER POLICY po ON p.t USING (false)", /^policy p\.t\.po qual$/],
  [
    "a replica identity",
    "ALTER TABLE p.t REPLICA IDENTITY FULL",
    /^relation p\.t replica_identity$/,
  ],
  ["a storage parameter", "ALTER TABLE p.t SET (fillfactor = 50)", /^relation p\.t options$/],
  [
    "an unlogged table",
    "ALTER TABLE p.empty_typed SET UNLOGGED",
    /^relation p\.empty_typed relpersistence$/,
  ],
  [
    "an owner",
    "ALTER TABLE p.empty_typed OWNER TO corpus_owner",
    /^relation p\.empty_typed (owner|privileges)$/,
  ],
  ["a missing grant", "REVOKE SELECT ON p.t FROM corpus_reader", /^relation p\.t privileges$/],
  [
    "a grant option",
    "REVOKE GRANT OPTION FOR SELECT ON p.t FROM corpus_reader",
    /^relation p\.t privileges$/,
  ],
  ["a column's grant", "GRANT UPDATE (n) ON p.t TO corpus_app", /^column p\.t\.n privileges$/],
  ["a schema's grant", "GRANT USAGE ON SCHEMA p TO corpus_app", /^schema p privileges$/],
  [
    "a function's grant",
    "REVOKE EXECUTE ON FUNCTION p.f() FROM PUBLIC",
    /^function p\.f\(\) privileges$/,
  ],
  ["a type's grant", "REVOKE USAGE ON TYPE p.e FROM PUBLIC", /^type p\.e privileges$/],
  [
    "the database's grant",
    "DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO corpus_app', current_database()); END $$",
    /^database the database privileges$/,
  ],
  [
    "the database's setting",
    "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = 99', current_database()); END $$",
    /^database setting everybody existence$/,
  ],
  [
    "default privileges",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA p GRANT SELECT ON TABLES TO corpus_app",
    /^default privileges postgres p r existence$/,
  ],
  ["a comment", "COMMENT ON COLUMN p.t.n IS 'other'", /^comment table column p\.t\.n text$/],
  ["a missing comment", "COMMENT ON TABLE p.t IS NULL", /^comment table p\.t existence$/],
  [
    "a function's body",
    "CREATE OR REPLACE FUNCTION p.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
    /^function p\.f\(\) (prosrc|definition)$/,
  ],
  ["an enum's label", "ALTER TYPE p.e RENAME VALUE 'b' TO 'c'", /^type p\.e labels$/],
  ["a view", "CREATE OR REPLACE VIEW p.v AS SELECT 2 AS x", /^relation p\.v definition$/],
  [
    "an event trigger",
    "ALTER EVENT TRIGGER corpus_planted DISABLE",
    /^event trigger corpus_planted enabled$/,
  ],
  [
    "extended statistics",
    "ALTER STATISTICS p.st RENAME TO st2",
    /^extended statistics p\.st2? existence$/,
  ],
  [
    "a byte of a large object",
    "SELECT lo_put(12345, 1500000, '\\x01')",
    /^large object 12345 content$/,
  ],
  [
    "a large object's length",
    "SELECT lo_put(12345, 2000000, '\\x00')",
    /^large object 12345 (content|size)$/,
  ],
  [
    "a large object's owner",
    "ALTER LARGE OBJECT 12345 OWNER TO corpus_owner",
    /^large object 12345 (owner|privileges)$/,
  ],
  [
    "a large object's comment",
    "COMMENT ON LARGE OBJECT 12345 IS 'x'",
    /^comment large object 12345 existence$/,
  ],
  ["a missing large object", "SELECT lo_unlink(12345)", /^large object 12345 existence$/],
  [
    "an extension's schema",
    "ALTER EXTENSION citext SET SCHEMA public",
    /^extension citext schema$|^(column|relation) p\./,
  ],
];

const PLANT_BED = `
CREATE SCHEMA p;
CREATE EXTENSION citext SCHEMA p;
CREATE TABLE p.t (id integer PRIMARY KEY, n numeric DEFAULT 1 CONSTRAINT positive CHECK (n > 0), t text, f double precision);
INSERT INTO p.t SELECT i, i, CASE i WHEN 2 THEN '' ELSE i::text END, 0 FROM generate_series(1, 100) AS i;
CREATE INDEX by_n ON p.t (n);
CREATE FUNCTION p.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER tr BEFORE INSERT ON p.t FOR EACH ROW EXECUTE FUNCTION p.f();
CREATE RULE ru AS ON DELETE TO p.t WHERE OLD.id < 0 DO INSTEAD NOTHING;
CREATE POLICY po ON p.t USING (true);
GRANT SELECT ON p.t TO corpus_reader WITH GRANT OPTION;
COMMENT ON TABLE p.t IS 'T';
COMMENT ON COLUMN p.t.n IS 'N';
CREATE TABLE p.no_key (i integer CONSTRAINT fk REFERENCES p.t);
INSERT INTO p.no_key VALUES (1), (1), (2);
CREATE TABLE p.empty ();
CREATE TABLE p.empty_typed (a varchar(5));
CREATE TABLE p.part (id integer) PARTITION BY RANGE (id);
CREATE TABLE p.part_1 PARTITION OF p.part FOR VALUES FROM (0) TO (100);
CREATE TABLE p.part_2 PARTITION OF p.part FOR VALUES FROM (100) TO (200);
INSERT INTO p.part VALUES (50), (150);
CREATE TABLE p.parent (id integer);
CREATE TABLE p.child () INHERITS (p.parent);
INSERT INTO p.child VALUES (1);
CREATE MATERIALIZED VIEW p.mv AS SELECT count(*) FROM p.no_key;
INSERT INTO p.no_key VALUES (3);
CREATE VIEW p.v AS SELECT 1 AS x;
CREATE SEQUENCE p.s OWNED BY p.t.id;
SELECT setval('p.s', 7);
CREATE TYPE p.e AS ENUM ('a', 'b');
CREATE STATISTICS p.st ON id, n FROM p.t;
CREATE FUNCTION p.ev() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER corpus_planted ON ddl_command_end EXECUTE FUNCTION p.ev();
SELECT lo_from_bytea(12345, decode(repeat('00', 1600000), 'hex'));
`;

for (const cluster of withRepeats([newest], [oldest])) {
  Deno.test(`compareDatabases() finds every planted difference and no other on ${cluster.major}`, async (test) => {
    await exec(cluster.url(), CORPUS[0]?.globals ?? "");
    const template = await createTemplate(cluster, "plant_bed", PLANT_BED);
    await withDatabase(cluster, template, async (source) => {
      for (const [what, sql, expected] of PLANTED) {
        await test.step(what, async () => {
          await withDatabase(cluster, template, async (target) => {
            await exec(target.url, sql);
            const found = await compareDatabases(source.url, target.url);
            const lines = found.map((each) => `${each.kind} ${each.name} ${each.property}`);
            ok(lines.length > 0, "nothing was found");
            equal(lines.filter((line) => !expected.test(line)), []);
          });
        });
      }
    });
  });
}

Deno.test("compareRoles() finds attributes, passwords, settings, memberships and comments", async () => {
  await using other = await startTestCluster({ major: 18 });
  await using same = await startTestCluster({ major: 18 });
  const base =
    "CREATE ROLE r LOGIN PASSWORD 'md50123456789abcdef0123456789abcdef'; CREATE ROLE g; GRANT g TO r;";
  await exec(other.url(), base);
  const cases: [string, string][] = [
    ["ALTER ROLE r CREATEDB", "role r rolcreatedb"],
    ["ALTER ROLE r PASSWORD 'md51123456789abcdef0123456789abcdef'", "role password r hash"],
    ["ALTER ROLE r SET work_mem = '5MB'", "role setting r existence"],
    ["REVOKE g FROM r", "membership g to r by postgres existence"],
    ["GRANT g TO r WITH ADMIN OPTION", "membership g to r by postgres admin_option"],
    ["COMMENT ON ROLE r IS 'x'", "role r comment"],
    ["CREATE ROLE extra", "role extra existence,role password extra existence"],
  ];
  for (const [sql, expected] of cases) {
    await exec(same.url(), `${base} ${sql}`);
    const found = await compareRoles(other.url(), same.url());
    equal(found.map((each) => `${each.kind} ${each.name} ${each.property}`).join(), expected);
    await exec(same.url(), "DROP ROLE r, g; DROP ROLE IF EXISTS extra");
  }
});

Deno.test({
  name: "rows whose text is longer than 1 GB are compared column by column",
  // Takes a minute and 3 GB of memory.
  ignore: Deno.env.get("TEST_HUGE") === undefined,
  fn: async () => {
    const template = await createTemplate(
      newest,
      "huge",
      `CREATE TABLE t (id integer, a text, b text);
      INSERT INTO t VALUES (1, repeat('x', 600000000));
      -- In one step the row would be too long even for memory.
      UPDATE t SET b = repeat('y', 600000000);`,
    );
    await withDatabase(newest, template, async (target) => {
      const source = newest.url({ database: template });
      equal(describe(await compareDatabases(source, target.url)), "");
      await exec(target.url, "UPDATE t SET b = left(b, -1) || 'z'");
      equal((await compareDatabases(source, target.url)).map((each) => each.name), ["public.t"]);
    });
  },
});

Deno.test("comparing column by column finds the same differences as comparing rows", async () => {
  const digestOf = async (values: string) => {
    return await withDatabase(newest, undefined, async (database) => {
      await exec(
        database.url,
        `CREATE TABLE t (a text, "B b" bytea, c text[]); INSERT INTO t SELECT ${values}`,
      );
      return await withSession(database.url, async (session) => {
        const [relation] = await storedRelations(session);
        return (await contentOf(session, relation!, "columns"))?.checksum;
      });
    });
  };
  const rows = [
    "'x', '', NULL",
    "'x', NULL, NULL",
    "'', 'x', NULL",
    "NULL, 'x', '{}'",
    "'NULL', 'x', '{}'",
    "'x,', '', NULL",
  ];
  const digests = await Promise.all(rows.map(digestOf));
  equal(new Set(digests).size, rows.length);
  equal(await digestOf(rows[0]!), digests[0]);
});

Deno.test("the shop is the same on two servers until its customers write to one", async () => {
  for (const cluster of [oldest, newest]) {
    await exec(cluster.url(), SHOP_ROLES);
    await createTemplate(cluster, "shop", shopSql({ megabytes: 1 }));
  }
  const [source, target] = [oldest, newest].map((each) => each.url({ database: "shop" })) as [
    string,
    string,
  ];
  const found = await compareDatabases(source, target, { ignore: [/^schema public/] });
  equal(describe(found), "");
  const load = startLoad(target, { sessions: 2 });
  const enough = () => {
    const { inserted, updated, deleted, rolledBack } = load.counts;
    return inserted > 50 && updated > 20 && deleted > 5 && rolledBack > 3;
  };
  await waitUntil("the load has done some of everything", enough);
  await load.stop();
  const sessions =
    "SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'shop load'";
  equal(await query(newest.url(), sessions), [{ n: 0 }]);
  ok((await compareDatabases(source, target)).some((each) => each.kind === "table content"));
});

Deno.test("the load survives a server crash and continues after the restart", async () => {
  await using cluster = await startTestCluster({ major: 17 });
  await exec(cluster.url(), SHOP_ROLES);
  await exec(cluster.url(), shopSql({ megabytes: 1 }));
  await using load = startLoad(cluster.url(), { sessions: 4 });
  for (let deaths = 0; deaths < 3; deaths++) {
    const { committed } = load.counts;
    while (load.counts.committed < committed + 20) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await cluster.kill("SIGKILL");
    await cluster.start();
  }
  ok(load.counts.failed >= 4);
});
