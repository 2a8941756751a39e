/**
 * `sync --add-tables` creates tables added on the source during replication completely or not at
 * all.
 */
import { isLong } from "../support/long.ts";
import { deepStrictEqual, match, rejects, strictEqual } from "node:assert/strict";
import { type Case, withCase } from "../support/case.ts";
import { sharedCluster } from "../support/clusters.ts";
import { until } from "../support/replication.ts";
import { Running } from "../support/running.ts";
import { rowsVerdict } from "../support/verify.ts";

const source = await sharedCluster(15, { programs: "embedded" });
const target = await sharedCluster(18);
const servers = { source, target };
const file = "37-sync-new-partition.sql";

const addTables = (...tables: string[]) => ({
  action: { kind: "copy", tables, areNew: true },
} as const);

/** Appended to the changes during replication. */
const during = (sql: string, before = "") => (script: string) =>
  script.replace("-- STREAM", `${before}\n-- STREAM`) + sql;

async function equal(it: Case): Promise<void> {
  strictEqual(await it.drain(), "drained");
  // sequences are not replicated, since cutover sets them; attached keys of partitions count as
  // their own, as in a dump; since 17 partitions have their parent's identity
  deepStrictEqual(
    (await it.differences()).filter(({ kind, property }) =>
      kind !== "sequence value" && property !== "connoinherit" && property !== "attidentity"
    ),
    [],
  );
  strictEqual(rowsVerdict(await it.verify()), "equal");
}

Deno.test("[37] a new partition is added with its keys; status is unhealthy until then", async () => {
  await withCase(file, servers, async (it) => {
    await it.initWithSync();
    strictEqual((await it.status()).healthy, true);
    await it.stream();
    const { healthy, findings } = await it.status();
    strictEqual(healthy, false);
    match(findings.map(({ message }) => message).join("\n"), /ev_2 is new on the source/);
    await it.sync(addTables("ev_2"));
    await equal(it);
    await it.ask(
      "source",
      "UPDATE ev SET v = 'moved', at = '2024-02-20' WHERE id BETWEEN 10 AND 20",
    );
    await equal(it);
    strictEqual((await it.status()).healthy, true);
  });
});

Deno.test("[37] adds partition trees, schemas, types, sequences, functions and everything that belongs to tables", async () => {
  const before = `
    CREATE ROLE "Reader 37"; CREATE TABLE ref (id int PRIMARY KEY); INSERT INTO ref VALUES (1), (2);
    ALTER TABLE ev ADD COLUMN r int REFERENCES ref; CREATE INDEX ev_v ON ev (v);
    CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.v := NEW.v || ''!''; RETURN NEW; END';
    CREATE TRIGGER stamp BEFORE INSERT ON ev FOR EACH ROW EXECUTE FUNCTION stamp();`;
  const sql = `
    CREATE SCHEMA "New S"; GRANT USAGE ON SCHEMA "New S" TO "Reader 37"; COMMENT ON SCHEMA "New S" IS 'new';
    CREATE TYPE "New S".mood AS ENUM ('ok', 'bad'); CREATE DOMAIN "New S".pos AS int CHECK (VALUE > 0);
    CREATE TYPE "New S".pair AS (a "New S".mood, b "New S".pos[]);
    CREATE TYPE "New S".span AS RANGE (subtype = numeric); COMMENT ON TYPE "New S".mood IS 'm';
    CREATE SEQUENCE "New S".standalone; GRANT USAGE ON SEQUENCE "New S".standalone TO "Reader 37";
    CREATE FUNCTION "New S".f(m "New S".mood, int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION "New S".t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TABLE ev_3 PARTITION OF ev FOR VALUES FROM ('2024-03-01') TO ('2024-04-01') PARTITION BY HASH (id);
    CREATE TABLE "Ev 3a" PARTITION OF ev_3 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE ev_3b PARTITION OF ev_3 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    CREATE INDEX ON "Ev 3a" (r);
    INSERT INTO ev SELECT i, '2024-03-05', CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END, 1 FROM generate_series(300, 350) i;
    CREATE TABLE "New S"."Root" (id int GENERATED ALWAYS AS IDENTITY, m "New S".mood NOT NULL DEFAULT 'ok',
      p "New S".pair, s "New S".span, k bigint DEFAULT nextval('"New S".standalone'), n serial,
      x int GENERATED ALWAYS AS ("New S".f('ok', 1)) STORED, PRIMARY KEY (id, m), CHECK ("New S".f(m, id) = 1)) PARTITION BY LIST (m);
    CREATE TABLE "New S".r1 PARTITION OF "New S"."Root" FOR VALUES IN ('ok');
    CREATE TABLE "New S".r2 PARTITION OF "New S"."Root" FOR VALUES IN ('bad');
    CREATE UNIQUE INDEX ON "New S"."Root" (id, m, k); CREATE STATISTICS "New S".stat ON id, n FROM "New S".r1;
    CREATE TRIGGER tr BEFORE INSERT ON "New S"."Root" FOR EACH ROW EXECUTE FUNCTION "New S".t();
    ALTER TABLE "New S".r1 ENABLE ROW LEVEL SECURITY; CREATE POLICY pol ON "New S".r1 TO "Reader 37" USING (id > 0);
    GRANT SELECT (id), UPDATE ON "New S".r1 TO "Reader 37"; COMMENT ON COLUMN "New S".r1.id IS 'c';
    INSERT INTO "New S"."Root" (m, p, s) SELECT CASE WHEN i % 2 = 0 THEN 'ok' ELSE 'bad' END::"New S".mood, '(bad,"{1,2}")'::"New S".pair, '[1,2)'
      FROM generate_series(1, 20) i;
    CREATE TABLE kid (id int PRIMARY KEY REFERENCES kid, ref int REFERENCES ref, arr "New S".mood[]) WITH (fillfactor = 50);
    INSERT INTO kid VALUES (1, 1, '{ok}'), (2, 2, NULL);
    CREATE TABLE heir (extra text) INHERITS (kid); INSERT INTO heir VALUES (3, 1, '{bad}', 'x');`;
  await withCase(file, { ...servers, rewrite: during(sql, before) }, async (it) => {
    await it.initWithSync();
    await it.stream();
    await it.sync(addTables("*"));
    await equal(it);
    await it.ask("source", `INSERT INTO "New S"."Root" (m) VALUES ('bad')`);
    await it.ask("source", "DELETE FROM ev WHERE id > 340");
    await equal(it);
    strictEqual((await it.status()).healthy, true);
  });
});

Deno.test("[37] naming a partitioned table includes its new partitions", async () => {
  await withCase(file, servers, async (it) => {
    await it.initWithSync();
    await it.stream();
    await it.sync(addTables("ev"));
    await equal(it);
  });
});

Deno.test("[37] tables that cannot be created are not created partially, and the next run creates them", async () => {
  const sql = `
    CREATE SCHEMA fresh; CREATE TYPE fresh.t AS ENUM ('a');
    CREATE TABLE fresh.one (id int PRIMARY KEY, t fresh.t); INSERT INTO fresh.one VALUES (1, 'a');
    CREATE TABLE taken (id int PRIMARY KEY); CREATE INDEX taken_i ON taken (id);`;
  await withCase(file, { ...servers, rewrite: during(sql) }, async (it) => {
    await it.initWithSync();
    await it.stream();
    await it.ask("target", "CREATE VIEW taken_i AS SELECT 1");
    const before = await objects(it);
    await rejects(it.sync(addTables("*")), /taken_i/);
    deepStrictEqual(await objects(it), before);
    strictEqual((await it.status()).healthy, false);
    await it.ask("target", "DROP VIEW taken_i");
    await it.sync(addTables("*"));
    await equal(it);
  });
});

Deno.test("[37] triggers enabled ALWAYS do not fire for copied rows", async () => {
  const sql = `
    CREATE TABLE log (id int); CREATE TABLE acc (id int PRIMARY KEY);
    CREATE FUNCTION l() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.log VALUES (NEW.id); RETURN NEW; END';
    INSERT INTO acc VALUES (1); CREATE TRIGGER l AFTER INSERT ON acc FOR EACH ROW EXECUTE FUNCTION l();
    ALTER TABLE acc ENABLE ALWAYS TRIGGER l;`;
  await withCase(file, { ...servers, rewrite: during(sql) }, async (it) => {
    await it.initWithSync();
    await it.stream();
    await it.sync(addTables("*"));
    await equal(it);
    await rejects(
      it.sync({ action: { kind: "copy", tables: ["acc"], areNew: false } }),
      (error: Error & { remedy?: string }) => {
        match(error.remedy ?? "", /ALTER TABLE "public"\."acc" DISABLE TRIGGER "l";/);
        return true;
      },
    );
  });
});

async function objects(it: Case): Promise<readonly unknown[]> {
  return await it.ask(
    "target",
    `SELECT nspname AS name FROM pg_namespace WHERE nspname !~ '^pg_' UNION ALL SELECT relname FROM pg_class
      WHERE oid > 16384 AND relnamespace::regnamespace::text !~ '^pg_' UNION ALL SELECT typname FROM pg_type
      WHERE oid > 16384 AND typnamespace::regnamespace::text !~ '^pg_' ORDER BY 1`,
  );
}

const moments = {
  "its publication": ["source", "SELECT count(*) > 1 AS ok FROM pg_publication"],
  "its slot": [
    "source",
    "SELECT count(*) > 1 AS ok FROM pg_replication_slots WHERE database = current_database()",
  ],
  "its tables": ["target", "SELECT to_regclass('public.ev_2') IS NOT NULL AS ok"],
  "some of its rows": [
    "target",
    `SELECT coalesce((SELECT pg_relation_size(oid) > 0 FROM pg_class WHERE oid = to_regclass('public.big')), false) AS ok`,
  ],
  "its subscription": [
    "target",
    "SELECT count(*) > 1 AS ok FROM pg_subscription AS s JOIN pg_database AS d ON d.oid = subdbid AND datname = current_database()",
  ],
} as const;

/** Each moment takes half a minute; these two stand for the others. */
const usual = ["its slot", "its subscription"];

for (const [moment, [side, condition]] of Object.entries(moments)) {
  if (!isLong && !usual.includes(moment)) continue;
  Deno.test(`[37] a run killed when ${moment} exists is completed by the next one`, async () => {
    const sql = `
      CREATE SCHEMA fresh; CREATE TYPE fresh.t AS ENUM ('a');
      CREATE TABLE fresh.one (id serial PRIMARY KEY, t fresh.t); INSERT INTO fresh.one (t) VALUES ('a');
      CREATE TABLE big (id int PRIMARY KEY, v text); INSERT INTO big SELECT i, repeat('x', 200) FROM generate_series(1, 50000) i;`;
    await withCase(file, { ...servers, rewrite: during(sql) }, async (it) => {
      await it.initWithSync();
      await it.stream();
      const before = await objects(it);
      await using run = new Running(
        [
          ...["sync", "--source", it.sourceUrl, "--target", it.target.url()],
          ...[
            "--include-databases",
            it.name,
            "--add-tables",
            "*",
            "--yes",
            "--dump-tool",
            "embedded",
          ],
        ],
        { HOME: Deno.env.get("HOME") ?? "/" },
        { permissions: "cli" },
      );
      await until(it.neutralUrl(side), condition);
      await run.kill("SIGKILL");
      // a server notices a lost client only when it sends something
      await until(
        it.neutralUrl("target"),
        `SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE 'postgres-seren%'
           AND datname = current_database() AND pid <> pg_backend_pid()) AS ok`,
      );
      const [{ subscribed } = { subscribed: false }] = await it.ask<{ subscribed: boolean }>(
        "target",
        "SELECT count(*) > 1 AS subscribed FROM pg_subscription WHERE subenabled",
      );
      strictEqual((await it.status()).healthy, subscribed);
      const made = await it.ask<{ n: number }>(
        "target",
        `SELECT count(*)::int AS n FROM pg_index WHERE indrelid::regclass::text IN ('ev_2', 'fresh.one', 'big') AND indisprimary`,
      );
      if (made[0]?.n === 0) deepStrictEqual(await objects(it), before);
      else strictEqual(made[0]?.n, 3);
      await (subscribed ? it.sync() : it.sync(addTables("*"))).catch(async (error) => {
        if (made[0]?.n !== 3) throw error;
        await it.sync(); // it only had to be started
      });
      await equal(it);
      strictEqual((await it.status()).healthy, true);
    });
  });
}
