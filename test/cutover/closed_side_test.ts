/**
 * Every way to write to the closed side, as its owner and as a superuser who tries to override it.
 */
import { isLong } from "../support/long.ts";
import { deepStrictEqual, ok } from "node:assert/strict";
import type postgres from "postgres";
import type { PgMajor } from "../../lib/cluster/mod.ts";
import { acknowledgedSchema } from "../support/acknowledged_load.ts";
import { sharedCluster } from "../support/clusters.ts";
import { prepareCutover, switchCutover, withCutoverPair } from "../support/cutover_pair.ts";
import { exec, query, withSession } from "../support/sql.ts";

const schema = `${acknowledgedSchema}
  INSERT INTO part VALUES (0, 1, 'kept'), (5, 1, 'kept');
  CREATE TABLE parent (id int PRIMARY KEY);
  CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE);
  INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1, 1);
  CREATE TABLE base (id int PRIMARY KEY, v int);
  CREATE TABLE heir () INHERITS (base);
  ALTER TABLE heir ADD PRIMARY KEY (id);
  INSERT INTO heir VALUES (1, 1);
  CREATE VIEW shown AS SELECT id, amount FROM balance;
  CREATE VIEW joined AS SELECT b.id, b.amount FROM balance AS b JOIN base USING (id);
  CREATE FUNCTION write_joined() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN UPDATE balance SET amount = NEW.amount WHERE id = OLD.id; RETURN NEW; END$$;
  CREATE TRIGGER write_joined INSTEAD OF UPDATE ON joined FOR EACH ROW EXECUTE FUNCTION write_joined();
  CREATE VIEW ruled AS SELECT id FROM balance;
  CREATE RULE ruled AS ON DELETE TO ruled DO INSTEAD DELETE FROM balance WHERE id = OLD.id;
  CREATE FUNCTION write_definer() RETURNS void LANGUAGE sql SECURITY DEFINER
    SET session_replication_role = replica SET default_transaction_read_only = off
    AS 'INSERT INTO public.balance VALUES (-1, 0)';
  CREATE PROCEDURE write_procedure() LANGUAGE plpgsql AS
    $$BEGIN COMMIT; SET TRANSACTION READ WRITE; DELETE FROM public.balance; END$$;`;

/** Statements with the first version that has them. */
const writes: readonly (readonly [string, PgMajor?])[] = [
  ["INSERT INTO balance VALUES (-1, 0)"],
  ["INSERT INTO balance VALUES (1, 0) ON CONFLICT (id) DO UPDATE SET amount = 1"],
  ["INSERT INTO balance VALUES (1, 0) ON CONFLICT DO NOTHING"],
  ["UPDATE balance SET amount = amount"],
  ["UPDATE balance SET amount = 1 WHERE false"],
  ["DELETE FROM balance WHERE id = 1"],
  ["COPY balance FROM PROGRAM 'echo 99'"],
  ["COPY ack (writer, n) FROM PROGRAM 'printf ''98\\t98\\n'''"],
  [
    "MERGE INTO balance AS b USING (VALUES (1)) AS s (id) ON b.id = s.id WHEN MATCHED THEN DELETE",
    15,
  ],
  [
    "MERGE INTO balance AS b USING (VALUES (-9)) AS s (id) ON b.id = s.id WHEN NOT MATCHED THEN INSERT VALUES (s.id, 0)",
    15,
  ],
  [
    "MERGE INTO balance AS b USING (VALUES (-9)) AS s (id) ON b.id = s.id WHEN NOT MATCHED BY SOURCE THEN DELETE",
    17,
  ],
  ["TRUNCATE balance"],
  ["TRUNCATE parent CASCADE"],
  ["TRUNCATE part"],
  ["TRUNCATE part_0"],
  ["TRUNCATE balance RESTART IDENTITY"],
  ["WITH w AS (INSERT INTO balance VALUES (-1, 0) RETURNING id) SELECT * FROM w"],
  ["WITH w AS (DELETE FROM balance RETURNING id) SELECT count(*) FROM w"],
  ["INSERT INTO part VALUES (0, 2, 'x')"],
  ["INSERT INTO part_0 VALUES (0, 2, 'x')"],
  ["UPDATE part SET writer = 6 WHERE writer = 0"],
  ["UPDATE part_rest SET what = 'x'"],
  ["DELETE FROM part_0"],
  ["UPDATE base SET v = 2"],
  ["UPDATE heir SET v = 2"],
  ["DELETE FROM parent"],
  ["UPDATE shown SET amount = 1 WHERE id = 1"],
  ["UPDATE joined SET amount = 1 WHERE id = 1"],
  ["DELETE FROM ruled WHERE id = 1"],
  ["SELECT write_definer()"],
  ["DO $$ BEGIN EXECUTE 'DELETE FROM balance'; END $$"],
  ["PREPARE w AS DELETE FROM balance; EXECUTE w"],
];

/** What a superuser can set before writing. */
const overrides: readonly string[] = [
  "SET default_transaction_read_only = off",
  `SET default_transaction_read_only = off; SET session_replication_role = replica`,
  `SET default_transaction_read_only = off; SET session_replication_role = local; SET row_security = off`,
  // what the tool's own sessions that apply changes set
  "SET default_transaction_read_only = off; SET seren_apply.applies = 'seren_0123456789abcdef'",
];

/** The record by which the fence knows the tool's sessions that apply changes. */
const forgedStream = `
  DO $$ BEGIN CREATE ROLE forger; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
  GRANT INSERT ON balance TO forger;
  CREATE SCHEMA seren_apply AUTHORIZATION forger;
  SET ROLE forger;
  CREATE TABLE seren_apply.stream (name text, enabled boolean, pid integer);
  INSERT INTO seren_apply.stream VALUES ('forged', true, pg_backend_pid());
  SET seren_apply.applies = 'forged';`;

const pairs = [[15, 18], [18, 15]] as const;

for (const [from, to] of isLong ? pairs : pairs.slice(0, 1)) {
  Deno.test(`nothing writes to the closed side: ${from}, with the data on ${to}`, async () => {
    const source = await clusters.get(from)!;
    const target = await clusters.get(to)!;
    await withCutoverPair({ source, target, schema }, async (pair) => {
      await prepareCutover(pair);
      await switchCutover("run", pair);
      const closed = pair.url;
      const before = await contents(closed);
      for (const override of overrides) {
        await withSession(closed, async (session) => {
          await session.unsafe(override).simple();
          const passed: string[] = [];
          for (const [write, since = 12] of writes) {
            // in replica mode the view's trigger does not fire, and nothing is written
            const isSilent = write.startsWith("UPDATE joined") && override.includes("replica");
            if (from < since || isSilent) continue;
            const result = await outcome(session, write);
            if (result !== refused) passed.push(`${override}: ${write}: ${result}`);
          }
          const called = await outcome(session, "CALL write_procedure()");
          if (called !== refused) passed.push(`${override}: CALL: ${called}`);
          deepStrictEqual(passed, []);
        });
      }
      await withSession(closed, async (session) => {
        // a role that may create schemas, and write to the table, as any other role may not
        await session.unsafe("SET default_transaction_read_only = off").simple();
        await session.unsafe(forgedStream).simple();
        const text = "INSERT INTO balance VALUES (-1, 0)";
        deepStrictEqual([text, await outcome(session, text)], [text, refused]);
        await session.unsafe("RESET ROLE; DROP SCHEMA seren_apply CASCADE").simple();
      });
      await withSession(closed, async (session) => {
        const [extension] = await session.unsafe(
          "SELECT FROM pg_available_extensions WHERE name = 'dblink'",
        );
        if (extension === undefined) return;
        await session.unsafe("SET default_transaction_read_only = off").simple();
        await session.unsafe("CREATE EXTENSION dblink").simple();
        const [where] = await session.unsafe<{ port: number; path: string }[]>(
          `SELECT current_setting('port')::int AS port,
                    split_part(current_setting('unix_socket_directories'), ',', 1) AS path`,
        );
        const link = `host=127.0.0.1 port=${where!.port} user=postgres dbname=${pair.name} ` +
          "options=''-c default_transaction_read_only=off -c session_replication_role=replica''";
        const text = `SELECT dblink_exec('${link}', 'DELETE FROM balance')`;
        deepStrictEqual([text, await outcome(session, text)], [text, refused]);
      });
      deepStrictEqual(await contents(closed), before);
      await exec(pair.targetUrl, "UPDATE balance SET amount = 7 WHERE id = 1");
    });
  });
}

const clusters = new Map([[15, sharedCluster(15)], [18, sharedCluster(18)]]);
await Promise.all(clusters.values());

const refused = "refused by the fence";

/** How a statement ends; `refused` if the fence, not read-only mode, has stopped it. */
async function outcome(session: postgres.Sql, sql: string): Promise<string> {
  try {
    await session.unsafe(sql).simple();
    return "done";
  } catch (error) {
    const { code, message } = error as Error & { code?: string };
    return code === "25006" && message.includes("closed by a cutover")
      ? refused
      : `${code} ${message}`;
  }
}

async function contents(url: string): Promise<readonly unknown[]> {
  const all: unknown[] = [];
  for (const table of ["ack", "balance", "part", "parent", "child", "base"]) {
    const rows = await query(
      url,
      `SELECT * FROM ${table} ORDER BY 1, 2`.replace(
        table === "parent" ? ", 2" : "\0",
        "",
      ),
    );
    all.push([table, rows]);
  }
  ok(all.length > 0);
  return all;
}
