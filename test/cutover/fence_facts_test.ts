import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { sharedCluster } from "../support/clusters.ts";
import { withDatabase } from "../support/databases.ts";
import { testedServers } from "../support/installed.ts";
import { exec, query, withSession } from "../support/sql.ts";
import {
  closeTable,
  factVersions,
  fenceFunction,
  fenceTriggers,
  outcome,
  outcomeOf,
  READ_ONLY,
  run,
} from "./_facts.ts";

const tables = `
  CREATE TABLE t (id int PRIMARY KEY, note text);
  INSERT INTO t VALUES (1, 'one');
  CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);
  CREATE TABLE p_low PARTITION OF p FOR VALUES FROM (0) TO (10);
  CREATE TABLE p_high PARTITION OF p FOR VALUES FROM (10) TO (20);
  INSERT INTO p VALUES (1);
  CREATE VIEW v AS SELECT * FROM t;
  CREATE FUNCTION write_t() RETURNS void LANGUAGE sql AS 'UPDATE public.t SET note = ''f''';`;

const fenced = ["t", "p", "p_low", "p_high"];

const fence = fenceFunction + fenced.map(fenceTriggers).join("");
const closed = fenced.map(closeTable).join("");

/** Ways to write, each of which has to be rejected. */
const writes: readonly string[] = [
  "INSERT INTO t VALUES (2)",
  "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING",
  "INSERT INTO t SELECT 2 WHERE false",
  "UPDATE t SET note = 'x'",
  "UPDATE t SET note = 'x' WHERE false",
  "DELETE FROM t",
  "WITH w AS (DELETE FROM t RETURNING id) SELECT count(*) FROM w",
  "COPY t (id) FROM PROGRAM 'echo 3'",
  "TRUNCATE t",
  "INSERT INTO p VALUES (2)",
  "INSERT INTO p_low VALUES (2)",
  "UPDATE p SET id = 11",
  "DELETE FROM p_high",
  "TRUNCATE p",
  "TRUNCATE p_low",
  "UPDATE v SET note = 'x'",
  "SELECT write_t()",
  "DO $$ BEGIN UPDATE t SET note = 'x'; END $$",
  "PREPARE w AS UPDATE t SET note = 'x'; EXECUTE w",
];

const merge =
  "MERGE INTO t USING (SELECT 1 AS id) AS s ON t.id = s.id WHEN MATCHED THEN UPDATE SET note = 'm'";

for (const { label, major, options } of await testedServers(...factVersions)) {
  const cluster = await sharedCluster(major, options);
  const test = (name: string, use: (url: string, database: string) => Promise<void>) =>
    Deno.test(`PostgreSQL ${label}: ${name}`, async () => {
      await withDatabase(cluster, undefined, async ({ url, name }) => {
        await exec(url, tables);
        await use(url, name);
      });
    });

  test("the fence rejects every way to write, by a superuser in read-write mode", async (url) => {
    await exec(url, fence + closed);
    for (const sql of major >= 15 ? [...writes, merge] : writes) {
      strictEqual(await outcomeOf(url, `BEGIN READ WRITE; ${sql}; COMMIT`), READ_ONLY, sql);
    }
    deepStrictEqual(await query(url, "SELECT id, note FROM t"), [{ id: 1, note: "one" }]);
    deepStrictEqual(await query(url, "SELECT id FROM p"), [{ id: 1 }]);
  });

  test("session_replication_role = replica passes a fence's TRUNCATE trigger in ORIGIN mode, and nothing else", async (url) => {
    await exec(url, fence + closed);
    const replica = "SET session_replication_role = replica;";
    for (const sql of writes) {
      const expected = sql.startsWith("TRUNCATE") ? "done" : READ_ONLY;
      strictEqual(await outcomeOf(url, `BEGIN; ${replica} ${sql}; ROLLBACK`), expected, sql);
    }
    await exec(url, "ALTER TABLE t ENABLE ALWAYS TRIGGER fence_truncate");
    strictEqual(await outcomeOf(url, `${replica} TRUNCATE t`), READ_ONLY);
  });

  test("a disabled fence costs nothing and a partition needs its own", async (url) => {
    await exec(url, fence);
    for (const sql of writes.filter((sql) => !sql.startsWith("INSERT"))) {
      strictEqual(await outcomeOf(url, `BEGIN; ${sql}; ROLLBACK`), "done", sql);
    }
    await exec(url, closeTable("p"));
    strictEqual(await outcomeOf(url, "INSERT INTO p_low VALUES (5)"), "done");
    await exec(url, `ALTER TABLE p DISABLE TRIGGER fence; ${closeTable("p_low")}`);
    strictEqual(await outcomeOf(url, "INSERT INTO p VALUES (6)"), "done");
  });

  test("the fence rejects cascades from a table that has none, even without a row to change", async (url) => {
    await exec(
      url,
      `CREATE TABLE parent (id int PRIMARY KEY); INSERT INTO parent VALUES (1), (2);
       CREATE TABLE child (parent int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE);
       INSERT INTO child VALUES (1);
       ${fenceFunction} ${fenceTriggers("child")} ${closeTable("child")}`,
    );
    strictEqual(await outcomeOf(url, "DELETE FROM parent WHERE id = 1"), READ_ONLY);
    strictEqual(await outcomeOf(url, "DELETE FROM parent WHERE id = 2"), READ_ONLY);
    strictEqual(await outcomeOf(url, "UPDATE parent SET id = 3 WHERE id = 2"), READ_ONLY);
    strictEqual(await outcomeOf(url, "TRUNCATE parent CASCADE"), READ_ONLY);
    strictEqual(await outcomeOf(url, "INSERT INTO parent VALUES (4)"), "done");
  });

  test("the fence does not stop sequences, large objects, row locks, DDL and other tables", async (url) => {
    await exec(url, `CREATE SEQUENCE s; CREATE UNLOGGED TABLE u (id int); ${fence} ${closed}`);
    for (
      const sql of [
        "SELECT nextval('s')",
        "SELECT lo_from_bytea(0, 'x')",
        "SELECT FROM t FOR UPDATE",
        "ALTER TABLE t ADD COLUMN extra int",
        "ALTER TABLE p ADD COLUMN extra float DEFAULT random()",
        "ALTER TABLE p DETACH PARTITION p_high",
        "INSERT INTO u VALUES (1)",
      ]
    ) strictEqual(await outcomeOf(url, sql), "done", sql);
  });

  test("read-only mode rejects nextval and FOR UPDATE, and large objects from 16 on", async (url) => {
    await exec(url, "CREATE SEQUENCE s");
    const readOnly = "BEGIN READ ONLY;";
    strictEqual(await outcomeOf(url, `${readOnly} SELECT nextval('s')`), READ_ONLY);
    strictEqual(await outcomeOf(url, `${readOnly} SELECT FROM t FOR UPDATE`), READ_ONLY);
    strictEqual(
      await outcomeOf(url, `${readOnly} SELECT lo_from_bytea(0, 'x')`),
      major >= 16 ? READ_ONLY : "done",
    );
    strictEqual(
      await outcomeOf(
        url,
        "SET default_transaction_read_only = on; COMMIT; BEGIN READ WRITE; DELETE FROM t; COMMIT",
      ),
      "done",
    );
  });

  test("a table's owner can create, enable and remove the fence", async (url, database) => {
    const owner = `${database}_owner`;
    await exec(
      url,
      `CREATE ROLE ${owner} LOGIN NOSUPERUSER; ALTER TABLE t OWNER TO ${owner};
       GRANT CREATE ON DATABASE ${database} TO ${owner};`,
    );
    try {
      const ownerUrl = cluster.url({ database, user: owner });
      await exec(ownerUrl, fenceFunction + fenceTriggers("public.t") + closeTable("public.t"));
      strictEqual(await outcomeOf(url, "DELETE FROM t"), READ_ONLY);
      strictEqual(await outcomeOf(ownerUrl, "DELETE FROM public.t"), READ_ONLY);
      await exec(
        ownerUrl,
        "DROP TRIGGER fence ON public.t; DROP TRIGGER fence_truncate ON public.t",
      );
      strictEqual(await outcomeOf(url, "DELETE FROM t"), "done");
    } finally {
      await exec(url, `DROP OWNED BY ${owner} CASCADE; DROP ROLE ${owner}`);
    }
  });

  test(
    "a role without EXECUTE on the fence's function and USAGE on its schema is rejected too",
    async (url, database) => {
      const role = `${database}_role`;
      await exec(
        url,
        `${fence} ${closed} REVOKE ALL ON FUNCTION fence.reject() FROM PUBLIC;
       CREATE ROLE ${role} LOGIN; GRANT ALL ON t TO ${role}; GRANT USAGE ON SCHEMA public TO ${role};`,
      );
      try {
        const roleUrl = cluster.url({ database, user: role });
        strictEqual(await outcomeOf(roleUrl, "UPDATE public.t SET note = 'x'"), READ_ONLY);
      } finally {
        await exec(url, `DROP OWNED BY ${role}; DROP ROLE ${role}`);
      }
    },
  );

  test(
    "ALTER DATABASE … SET is part of the transaction, and the owner suffices",
    async (url, database) => {
      const owner = `${database}_owner`;
      await exec(url, `CREATE ROLE ${owner} LOGIN; ALTER DATABASE ${database} OWNER TO ${owner}`);
      const ownerUrl = cluster.url({ database, user: owner });
      const close = `ALTER DATABASE ${database} SET default_transaction_read_only = on`;
      const mode = async () => {
        const [row] = await query(url, "SHOW default_transaction_read_only");
        return row?.default_transaction_read_only;
      };
      try {
        await withSession(ownerUrl, async (session) => {
          await run(session, `BEGIN; ${close}; ROLLBACK`);
          strictEqual(await mode(), "off", "rolled back");
          await run(session, `BEGIN; ${close}`);
          strictEqual(await mode(), "off", "not committed yet");
          await run(session, "COMMIT");
          strictEqual(await mode(), "on");
          await run(session, "CREATE SCHEMA still_writable");
        });
        strictEqual(await outcomeOf(ownerUrl, "CREATE SCHEMA rejected"), READ_ONLY);
        const reset = `ALTER DATABASE ${database} RESET default_transaction_read_only`;
        // ALTER DATABASE … SET is a write itself
        strictEqual(await outcomeOf(ownerUrl, reset), READ_ONLY);
        strictEqual(
          await outcomeOf(ownerUrl, `SET default_transaction_read_only = off; ${reset}`),
          READ_ONLY,
          "both are one transaction, which has begun in read-only mode",
        );
        await withSession(ownerUrl, async (session) => {
          await run(session, "SET default_transaction_read_only = off");
          await run(session, reset);
        });
        strictEqual(await mode(), "off");
        // a role's own setting takes precedence over the database's
        await exec(url, `ALTER ROLE ${owner} SET default_transaction_read_only = off; ${close}`);
        strictEqual(await outcomeOf(ownerUrl, "CREATE SCHEMA accepted"), "done");
      } finally {
        await exec(
          url,
          `SET default_transaction_read_only = off; COMMIT;
         ALTER DATABASE ${database} OWNER TO CURRENT_USER;
         DROP OWNED BY ${owner} CASCADE; DROP ROLE ${owner}`,
        );
      }
    },
  );

  test("two ALTER DATABASE … SET of one database wait for each other", async (url, database) => {
    const close = `ALTER DATABASE ${database} SET default_transaction_read_only = on`;
    await withSession(url, async (session) => {
      await run(session, `BEGIN; ${close}`);
      strictEqual(
        await outcomeOf(
          url,
          `SET lock_timeout = '100ms'; ALTER DATABASE ${database} SET work_mem = '5MB'`,
        ),
        "55P03",
      );
      strictEqual(await outcome(session, "ROLLBACK"), "done");
    });
  });
}
