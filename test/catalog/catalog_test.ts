import { deepStrictEqual as equal, ok, rejects } from "node:assert/strict";
import {
  listDatabases,
  listLargeObjects,
  listSequences,
  listTables,
  readActivity,
  readContents,
  readPlanningHazards,
  readSequenceValues,
  sameDatabase,
  setvalStatements,
  sharesBackends,
  summarizeLargeObjects,
  tryLocale,
} from "../../lib/catalog/internal.ts";
import type { Cluster, PgMajor } from "../../lib/cluster/mod.ts";
import { openSession, resolveEndpoint, type Session } from "../../lib/postgres/internal.ts";
import { sharedCluster } from "../support/clusters.ts";
import { withDatabase as withTestDatabase } from "../support/databases.ts";
import { withRepeats } from "../support/long.ts";
import { exec, withSession } from "../support/sql.ts";
import { startupRefusal } from "../support/startup_refusal.ts";

/** Version 15 serves tests of a single version. */
const clusterMajors: readonly PgMajor[] = [12, 15, 18];
const majors = withRepeats<PgMajor>([12, 18], [15]);
const clusters = new Map<PgMajor, Cluster>();
for (const major of clusterMajors) clusters.set(major, await sharedCluster(major));

/** Opens a new database, as superuser by default. */
async function withDatabase(
  major: PgMajor,
  { script = "", user }: { readonly script?: string; readonly user?: string },
  use: (session: Session, url: string) => Promise<void>,
): Promise<void> {
  await withTestDatabase(clusters.get(major)!, undefined, async ({ url, urlFor }) => {
    if (script !== "") await exec(url, script);
    await using session = await open(user === undefined ? url : urlFor({ user }));
    await use(session, url);
  });
}

async function open(url: string): Promise<Session> {
  return await openSession(await resolveEndpoint(url, { side: "source" }));
}

const other = await sharedCluster(18, { settings: { work_mem: "5MB" } });

async function role(major: PgMajor, name: string, attributes = "LOGIN"): Promise<void> {
  await exec(
    clusters.get(major)!.url(),
    `DO $$ BEGIN CREATE ROLE ${name} ${attributes};
       EXCEPTION WHEN duplicate_object THEN ALTER ROLE ${name} ${attributes}; END $$`,
  );
}

for (const major of majors) {
  Deno.test(`listTables() finds ordinary tables and leaf partitions only (${major})`, async () => {
    const script = `
      CREATE SCHEMA "Odd ""schema"".x";
      CREATE TABLE "Odd ""schema"".x"."T.1" (id int, "A b" text, gone int, twice int GENERATED ALWAYS AS (id * 2) STORED);
      ALTER TABLE "Odd ""schema"".x"."T.1" DROP COLUMN gone;
      CREATE TABLE none ();
      CREATE UNLOGGED TABLE quick (id int);
      CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child () INHERITS (parent);
      CREATE TABLE part (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
      CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY LIST (id);
      CREATE TABLE part_1_1 PARTITION OF part_1 FOR VALUES IN (1);
      CREATE VIEW v AS SELECT 1 AS one; CREATE MATERIALIZED VIEW mv AS SELECT 1 AS one;
      CREATE TEMP TABLE t (id int);`;
    await withDatabase(major, { script }, async (session) => {
      const tables = await listTables(session);
      equal(tables.map(({ schema, name }) => `${schema}/${name}`), [
        `Odd "schema".x/T.1`,
        "public/child",
        "public/none",
        "public/parent",
        "public/part_1_1",
        "public/quick",
      ]);
      const [odd, child, none, parent, leaf, quick] = tables;
      equal(odd!.columns.map(({ name }) => name), ["id", "A b"]);
      equal(none!.columns, []);
      equal([parent!.hasPrimaryKey, child!.hasPrimaryKey], [true, false]);
      equal(leaf!.partitionRoot, { schema: "public", name: "part" });
      equal([leaf!.isPartition, quick!.isUnlogged, odd!.bytes, odd!.blocks], [true, true, 0, 0]);
      equal(odd!.rowEstimate, undefined);
    });
  });

  Deno.test(`listTables() reads size, blocks and row estimate of a table with TOAST (${major})`, async () => {
    const script = `
      CREATE TABLE big (id int PRIMARY KEY, body text);
      ALTER TABLE big ALTER body SET STORAGE EXTERNAL;
      INSERT INTO big SELECT i, repeat('x', 10000) FROM generate_series(1, 500) AS i;
      ANALYZE big;`;
    await withDatabase(major, { script }, async (session) => {
      const [big] = await listTables(session);
      ok(big!.bytes > 5_000_000 && big!.bytes < 8_000_000, `${big!.bytes}`);
      ok(big!.blocks >= 3 && big!.blocks < 20, `${big!.blocks}`);
      equal(big!.rowEstimate, 500);
    });
  });

  Deno.test(`listTables() reports the usable replica identity (${major})`, async () => {
    const script = `
      CREATE TABLE a_key (id int PRIMARY KEY);
      CREATE TABLE b_deferrable (id int PRIMARY KEY DEFERRABLE);
      CREATE TABLE c_none (id int);
      CREATE TABLE d_full (id int); ALTER TABLE d_full REPLICA IDENTITY FULL;
      CREATE TABLE e_index (id int NOT NULL UNIQUE);
      ALTER TABLE e_index REPLICA IDENTITY USING INDEX e_index_id_key;
      CREATE TABLE f_lost (id int NOT NULL UNIQUE);
      ALTER TABLE f_lost REPLICA IDENTITY USING INDEX f_lost_id_key;
      ALTER TABLE f_lost DROP CONSTRAINT f_lost_id_key;
      CREATE TABLE g_nothing (id int PRIMARY KEY); ALTER TABLE g_nothing REPLICA IDENTITY NOTHING;`;
    await withDatabase(major, { script }, async (session) => {
      equal((await listTables(session)).map(({ replicaIdentity }) => replicaIdentity), [
        "primary-key",
        "nothing",
        "nothing",
        "full",
        "index",
        "nothing",
        "nothing",
      ]);
    });
  });

  Deno.test(`listTables() reports types with a portable binary form (${major})`, async () => {
    const script = `
      CREATE EXTENSION hstore;
      CREATE TYPE mood AS ENUM ('ok'); CREATE DOMAIN posint AS int CHECK (VALUE > 0);
      CREATE DOMAIN ints AS int[]; CREATE DOMAIN deep AS posint;
      CREATE TYPE pair AS (a int, b text); CREATE TYPE odd AS (a posint);
      CREATE TYPE span AS RANGE (subtype = float8);
      CREATE TABLE t (y1 int, y2 text[], y3 numeric(10,2), y4 posint, y5 pair, y6 span, y7 mood, y8 jsonb,
        y9 ints, y10 deep, y11 int4range, y12 bytea,
        n1 regclass, n2 mood[], n3 posint[], n4 odd, n5 pair[], n6 hstore, n7 aclitem, n8 regtype[],
        n9 information_schema.sql_identifier[]);`;
    await withDatabase(major, { script }, async (session) => {
      const [t] = await listTables(session);
      equal(
        t!.columns.filter(({ name, portableBinary }) => portableBinary !== name.startsWith("y")),
        [],
      );
      equal(t!.columns[2]!.typeName, "numeric(10,2)");
      equal(t!.columns[13]!.typeName, "public.mood[]");
    });
  });

  Deno.test(`listTables() omits tables of extensions except configuration tables (${major})`, async () => {
    const script = `
      CREATE EXTENSION hstore;
      CREATE TABLE conf (id int); CREATE TABLE inner_only (id int);
      ALTER EXTENSION hstore ADD TABLE conf; ALTER EXTENSION hstore ADD TABLE inner_only;
      UPDATE pg_extension SET extconfig = ARRAY['conf'::regclass::oid], extcondition = ARRAY['WHERE id > 1']
       WHERE extname = 'hstore';`;
    await withDatabase(major, { script }, async (session) => {
      equal(
        (await listTables(session)).map((
          { name, extensionCondition },
        ) => [name, extensionCondition]),
        [["conf", "WHERE id > 1"]],
      );
    });
  });

  Deno.test(`sequences keep last_value and is_called (${major})`, async () => {
    const script = `
      CREATE SEQUENCE "Never ""called'\\" START 7; CREATE SEQUENCE down INCREMENT -1;
      SELECT nextval('down'), nextval('down');
      CREATE SEQUENCE far; SELECT setval('far', 9223372036854775806, false);
      CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, s serial); INSERT INTO t VALUES (DEFAULT, DEFAULT);`;
    await withDatabase(major, { script }, async (session, url) => {
      const sequences = await listSequences(session);
      equal(
        sequences.filter(({ isIdentity }) => isIdentity).map(({ ownedBy }) => ownedBy?.column),
        [
          "id",
        ],
      );
      const values = await readSequenceValues(session, sequences);
      equal(values.map(({ name, lastValue, isCalled }) => [name, lastValue, isCalled]), [
        [`Never "called'\\`, 7n, false],
        ["down", -2n, true],
        ["far", 9223372036854775806n, false],
        ["t_id_seq", 1n, true],
        ["t_s_seq", 1n, true],
      ]);
      await exec(url, `SELECT nextval('far'), nextval('down'), nextval('"Never ""called''\\"')`);
      for (const statement of setvalStatements(values)) await session.execute(statement);
      equal(await readSequenceValues(session, sequences), values);
    });
  });

  Deno.test(`large objects are listed in pages with owner, privileges and comment (${major})`, async () => {
    await role(major, "lo_reader");
    const script = `
      SELECT lo_from_bytea(n, 'x') FROM generate_series(70001, 70005) AS n;
      COMMENT ON LARGE OBJECT 70002 IS 'it''s';
      GRANT SELECT ON LARGE OBJECT 70003 TO lo_reader;`;
    await withDatabase(major, { script }, async (session) => {
      const pages = await Array.fromAsync(listLargeObjects(session, { pageSize: 2 }));
      equal(pages.map((page) => page.map(({ oid }) => oid)), [[70001, 70002], [70003, 70004], [
        70005,
      ]]);
      equal(pages[0]![1]!.comment, "it's");
      equal(pages[0]![1]!.acl, undefined);
      equal(pages[1]![0]!.acl?.length, 2);
      const summary = await summarizeLargeObjects(session);
      equal([summary.count, summary.unreadable], [5, 0]);
      await using reader = await openSession({ ...session.endpoint, user: "lo_reader" });
      equal((await summarizeLargeObjects(reader)).unreadable, 4);
    });
  });

  Deno.test(`a new database is empty, also with an extension (${major})`, async () => {
    await withDatabase(major, {}, async (session, url) => {
      const empty = await readContents(session);
      equal([empty.empty, empty.description, empty.extensions], [true, "nothing", []]);
      await exec(url, "CREATE EXTENSION hstore; CREATE EXTENSION btree_gist");
      const extended = await readContents(session);
      equal([extended.empty, extended.extensions], [true, ["btree_gist", "hstore"]]);
    });
  });

  Deno.test(`a database with an object of any kind is not empty (${major})`, async () => {
    const kinds: Readonly<Record<string, string>> = {
      "CREATE TABLE t (id serial)": "1 table (t)",
      "CREATE SCHEMA s": "1 schema",
      "CREATE VIEW v AS SELECT 1 AS one": "1 view",
      "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'": "1 function",
      "CREATE TYPE e AS ENUM ('a')": "1 type",
      "CREATE TYPE c AS (a int)": "1 type",
      "CREATE TYPE r AS RANGE (subtype = int)": "1 type",
      "CREATE DOMAIN d AS int": "1 type",
      "CREATE SEQUENCE s": "1 sequence",
      "CREATE COLLATION c (locale = 'C')": "1 collation",
      "CREATE PUBLICATION p": "1 publication",
      'CREATE TEXT SEARCH CONFIGURATION c (PARSER = pg_catalog."default")': "1 text search object",
    };
    await withDatabase(major, {}, async (session) => {
      for (const [statement, description] of Object.entries(kinds)) {
        await session.execute(`BEGIN; SET LOCAL search_path = public; ${statement}`);
        const contents = await readContents(session);
        await session.execute("ROLLBACK");
        equal([contents.empty, contents.description], [false, description], statement);
      }
    });
  });

  Deno.test(`contents of a database are described largest first (${major})`, async () => {
    const script = `
      CREATE TABLE small (id int); CREATE TABLE middle AS SELECT i FROM generate_series(1, 1000) AS i;
      CREATE TABLE "Large" AS SELECT i FROM generate_series(1, 10000) AS i; CREATE TABLE none (id int);
      CREATE VIEW v AS SELECT 1 AS one;`;
    await withDatabase(major, { script }, async (session) => {
      const { description } = await readContents(session);
      ok(/^4 tables \(\d+ kB: "Large", middle, none, …\), 1 view$/.test(description), description);
    });
  });

  Deno.test(`listDatabases() marks templates and reads encoding and locale (${major})`, async () => {
    await withDatabase(major, {}, async (session) => {
      const databases = await listDatabases(session);
      const mine = databases.find(({ name }) => name === session.endpoint.database)!;
      equal([mine.encoding, mine.collate, mine.localeProvider, mine.owner, mine.canConnect], [
        "UTF8",
        "C",
        "libc",
        "postgres",
        true,
      ]);
      ok(mine.sizeBytes! > 1_000_000);
      equal(
        databases.filter(({ isTemplate }) => isTemplate).map(({ name }) => name),
        ["template0", "template1"],
      );
    });
  });

  Deno.test(`a database is recognized through another user, address and Unix socket (${major})`, async () => {
    const cluster = clusters.get(major)!;
    await role(major, "stranger");
    await exec(cluster.url(), "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC");
    await using first = await open(cluster.url());
    const socket = encodeURIComponent(cluster.socketDir);
    for (
      const url of [
        cluster.url({ user: "stranger" }),
        `postgresql://postgres@localhost:${cluster.port}/postgres`,
        `postgresql://stranger@${socket}:${cluster.port}/postgres`,
      ]
    ) {
      await using second = await open(url);
      equal(await sameDatabase(first, second), "same-database", url);
      equal(await sameDatabase(second, first), "same-database", url);
    }
    await using neighbor = await open(cluster.url({ database: "template1", user: "stranger" }));
    equal(await sameDatabase(first, neighbor), "same-cluster");
    equal(await sameDatabase(neighbor, first), "same-cluster");
  });
}

Deno.test("databases of two servers of the same version are different", async () => {
  for (const url of [other.url(), clusters.get(15)!.url()]) {
    await using a = await open(clusters.get(18)!.url());
    await using b = await open(url);
    equal(await sameDatabase(a, b), "different");
  }
});

Deno.test("reading a sequence without privilege is an error", async () => {
  await role(18, "stranger");
  await withDatabase(18, { script: "CREATE SEQUENCE s", user: "stranger" }, async (session) => {
    const sequences = await listSequences(session);
    equal(sequences.map(({ readable }) => readable), [false]);
    await rejects(readSequenceValues(session, sequences), { name: "ServerError" });
  });
});

Deno.test("tryLocale() reports whether the system has a locale, and leaves nothing behind", async () => {
  await withDatabase(15, {}, async (session) => {
    equal([await tryLocale(session, "C"), await tryLocale(session, "xx_'YY.UTF-8")], [true, false]);
    equal((await readContents(session)).description, "nothing");
  });
});

for (const major of majors) {
  Deno.test(`readActivity() reports a long-running transaction (${major})`, async () => {
    await withDatabase(major, {}, async (session, url) => {
      await withSession(url, async (busy) => {
        await busy.unsafe("BEGIN").simple();
        const [own] = await busy.unsafe("SELECT pg_backend_pid() AS pid");
        const now = await readActivity(session, { longAfterSeconds: 0 });
        ok(now.longTransactions.some(({ pid }) => pid === own?.pid));
        equal(
          (await readActivity(session, { longAfterSeconds: 3600 })).longTransactions.length,
          0,
        );
        equal([now.settings.wal_level, now.usedSlots, now.seesAll], ["logical", 0, true]);
      });
    });
  });
}

Deno.test("sharesBackends() distinguishes a server from a pooler in transaction mode", async () => {
  const cluster = clusters.get(15)!;
  await using direct = await open(cluster.url());
  equal(await sharesBackends(direct, new AbortController().signal), false);
  await using pooler = startTransactionPooler(cluster);
  await using pooled = await open(`postgresql://postgres@127.0.0.1:${pooler.port}/postgres`);
  equal(await sharesBackends(pooled, new AbortController().signal), true);
});

/**
 * A pooler in transaction mode, as small as one can be: it lends a client one of its connections
 * from its first message until the server is idle outside a transaction. The most recently returned
 * connection is lent first, as by PgBouncer.
 */
function startTransactionPooler(cluster: Cluster) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const idle: Deno.Conn[] = [];
  const all = new Set<Deno.Conn>();
  let welcome = new Uint8Array();
  const running: Promise<void>[] = [];

  /** Reads up to ReadyForQuery; true when the server is outside a transaction. */
  async function untilReady(server: Deno.Conn, pass: (bytes: Uint8Array) => Promise<unknown>) {
    const buffer = new Uint8Array(65536);
    for (let seen = new Uint8Array();;) {
      const count = await server.read(buffer) ?? 0;
      if (count === 0) throw new Error("the server is gone");
      await pass(buffer.slice(0, count));
      seen = new Uint8Array([...seen, ...buffer.subarray(0, count)]).slice(-6);
      if (seen[0] === 0x5a && seen[4] === 5) return seen[5] === 0x49;
    }
  }

  async function connect(startup: Uint8Array): Promise<Deno.Conn> {
    const server = await Deno.connect({ hostname: cluster.host, port: cluster.port });
    all.add(server);
    await server.write(startup);
    const parts: number[] = [];
    await untilReady(server, (bytes) => Promise.resolve(parts.push(...bytes)));
    welcome = new Uint8Array(parts);
    return server;
  }

  async function serve(client: Deno.Conn): Promise<void> {
    all.add(client);
    const buffer = new Uint8Array(65536);
    let count = await client.read(buffer);
    if (count === 8) { // a request for TLS
      await client.write(new Uint8Array([0x4e]));
      count = await client.read(buffer);
    }
    const startup = buffer.slice(0, count ?? 0);
    if (new TextDecoder("latin1").decode(startup).includes("event_triggers")) {
      await client.write(startupRefusal("event_triggers"));
      client.close();
      return void all.delete(client);
    }
    idle.push(idle.pop() ?? await connect(startup));
    await client.write(welcome);
    for (let server: Deno.Conn | undefined;;) {
      count = await client.read(buffer);
      if (count === null || buffer[0] === 0x58) break;
      server ??= idle.pop() ?? await connect(startup);
      await server.write(buffer.slice(0, count));
      if (await untilReady(server, (bytes) => client.write(bytes))) {
        idle.push(server);
        server = undefined;
      }
    }
    client.close();
    all.delete(client);
  }

  running.push((async () => {
    for await (const client of listener) running.push(serve(client).catch(() => {}));
  })());
  return {
    port: (listener.addr as Deno.NetAddr).port,
    [Symbol.asyncDispose]: async () => {
      listener.close();
      for (const connection of all) connection.close();
      await Promise.all(running);
    },
  };
}

Deno.test("planning hazards are found among functions too large to read at once", async () => {
  // only functions that expressions call are read: by name, through operators or inlined bodies
  const script = `
    SET check_function_bodies = off;
    DO $$ BEGIN
      FOR i IN 1..150 LOOP
        EXECUTE pg_catalog.format('CREATE FUNCTION large%s() RETURNS int LANGUAGE sql AS %L', i,
          'SELECT 1 -- ' || pg_catalog.repeat('x', 1000000));
      END LOOP;
    END $$;
    CREATE FUNCTION num(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
    CREATE FUNCTION in_text(a int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a + public.num(7)';
    CREATE FUNCTION parsed(a int) RETURNS int LANGUAGE sql IMMUTABLE RETURN a + public.num(7);
    CREATE FUNCTION outer_parsed(a int) RETURNS int LANGUAGE sql IMMUTABLE RETURN a + public.parsed(a);
    CREATE FUNCTION harmless(a int) RETURNS int LANGUAGE sql IMMUTABLE RETURN public.num(a);
    CREATE FUNCTION same(int, int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 = $2; END';
    CREATE OPERATOR === (FUNCTION = same, LEFTARG = int, RIGHTARG = int);
    CREATE TABLE t1 (a int); CREATE INDEX direct ON t1 (a) WHERE a > num(1);
    CREATE TABLE t2 (a int); CREATE INDEX in_text ON t2 (in_text(a));
    CREATE TABLE t3 (a int); CREATE INDEX in_parsed ON t3 (outer_parsed(a));
    CREATE TABLE t4 (a int); CREATE INDEX by_operator ON t4 (a) WHERE 1 === 2;
    CREATE TABLE t5 (a int); CREATE STATISTICS expressions ON (a + num(2)), a FROM t5;
    CREATE TABLE t6 (a int); CREATE INDEX harmless ON t6 (num(a), harmless(a));
    DO $$ BEGIN
      FOR i IN 1..250 LOOP
        EXECUTE pg_catalog.format('CREATE TABLE many%s (a int); CREATE INDEX ON many%s (num(a))', i, i);
      END LOOP;
    END $$;
    CREATE TABLE t7 (a int); CREATE INDEX last_of_many ON t7 ((a + num(3)));`;
  await withDatabase(18, { script }, async (session) => {
    equal([...(await readPlanningHazards(session)).values()].sort(), [
      "index by_operator calls same with constants",
      "index direct calls num with constants",
      "index in_parsed calls outer_parsed with constants",
      "index in_text calls in_text with constants",
      "index last_of_many calls num with constants",
      "statistics expressions calls num with constants",
    ]);
    equal((await readPlanningHazards(session, { trusting: true })).size, 0);
  });
});
