/** That each change affects exactly its row, whatever the target's indexes are. */
import { deepStrictEqual, match, rejects, strictEqual } from "node:assert/strict";
import { ChangeRefusedError } from "../../lib/apply/internal.ts";
import {
  type ClientStream,
  createClientStream,
  endClientStream,
  RunningApplier,
} from "../support/client_stream.ts";
import { sharedCluster } from "../support/clusters.ts";
import { createDatabase } from "../support/databases.ts";
import { compareRows, drain } from "../support/replicated.ts";
import { exec, query } from "../support/sql.ts";

const old = await sharedCluster(12);
const current = await sharedCluster(18);
const hasIcu =
  (await query(current.url(), "SELECT FROM pg_collation WHERE collprovider = 'i' LIMIT 1"))
    .length > 0;

async function between(
  schemas: { readonly source: string; readonly target: string },
  use: (stream: ClientStream) => Promise<void>,
): Promise<void> {
  await using source = await createDatabase(old, schemas.source);
  await using target = await createDatabase(current, schemas.target);
  const stream = await createClientStream(source.url, target.url);
  try {
    await use(stream);
  } finally {
    await endClientStream(stream);
  }
}

const insensitive =
  "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);";

const cases = [
  {
    where: "a target without the unique index",
    source:
      "CREATE TABLE a (id text PRIMARY KEY, v int); INSERT INTO a VALUES ('b', 0), ('c', 0), ('d', 0)",
    target: "CREATE TABLE a (id text, v int)",
  },
  ...(hasIcu
    ? [{
      where: "an identity index of another collation than the column's",
      source:
        "CREATE TABLE a (id text PRIMARY KEY, v int); INSERT INTO a VALUES ('b', 0), ('c', 0), ('d', 0)",
      target: `${insensitive} CREATE TABLE a (id text COLLATE ci NOT NULL, v int);
               CREATE UNIQUE INDEX ON a (id COLLATE "C")`,
    }]
    : []),
];

for (const { where, ...schemas } of cases) {
  for (const change of ["UPDATE a SET v = v + 1", "DELETE FROM a"]) {
    Deno.test(`a change that hits two rows while another hits none stops the stream: ${where}, ${change}`, async () => {
      await between(schemas, async (stream) => {
        const { sourceUrl, targetUrl } = stream;
        const twin = where.startsWith("an identity") ? "B" : "b";
        await exec(targetUrl, `INSERT INTO a VALUES ('b', 0), ('${twin}', 0), ('d', 0)`);
        const before = 'SELECT json_agg(a ORDER BY id COLLATE "C", v) AS rows FROM a';
        const rows = await query(targetUrl, before);
        await exec(sourceUrl, change);
        await using applier = new RunningApplier(stream);
        await rejects(applier.ended, (error) => {
          if (!(error instanceof ChangeRefusedError)) return false;
          match(error.message, /^(?:update|delete): (?:2|no) rows match on the target/);
          return true;
        });
        deepStrictEqual(await query(targetUrl, before), rows);
      });
    });
  }
}

Deno.test("a column that is added on the target meanwhile keeps its value when a key changes", async () => {
  const schema = "CREATE TABLE a (id int PRIMARY KEY, v int)";
  await between({ source: schema, target: schema }, async (stream) => {
    const { sourceUrl, targetUrl } = stream;
    await using applier = new RunningApplier(stream);
    await exec(sourceUrl, "INSERT INTO a SELECT n, n FROM generate_series(1, 10) AS n");
    await Promise.race([drain(sourceUrl), applier.ended]);
    await exec(targetUrl, "ALTER TABLE a ADD COLUMN own int; UPDATE a SET own = id");
    await exec(sourceUrl, "UPDATE a SET id = id + 100 WHERE id < 6");
    await Promise.race([drain(sourceUrl), applier.ended]);
    deepStrictEqual(
      (await query(targetUrl, "SELECT json_agg(array[id, v, own] ORDER BY v) AS rows FROM a"))[0]![
        "rows"
      ],
      Array.from({ length: 10 }, (_, at) => [at < 5 ? at + 101 : at + 1, at + 1, at + 1]),
    );
  });
});

Deno.test("duplicates of a DEFERRABLE key are noticed, and exchanged values are not duplicates", async () => {
  const table = (u: string) => `CREATE TABLE a (id int PRIMARY KEY, u int ${u}, t text)`;
  const full =
    `CREATE TABLE d (id int PRIMARY KEY DEFERRABLE, v int); ALTER TABLE d REPLICA IDENTITY FULL`;
  await between({
    source: `${table("")}; ${full}`,
    target: `${table('CONSTRAINT "late key" UNIQUE DEFERRABLE')}; ${full}`,
  }, async (stream) => {
    const { sourceUrl, targetUrl } = stream;
    {
      await using applier = new RunningApplier(stream);
      await exec(sourceUrl, "INSERT INTO a VALUES (1, 1), (2, 2), (3, NULL), (4, NULL)");
      await exec(sourceUrl, "INSERT INTO d SELECT n, n FROM generate_series(1, 9) AS n");
      await exec(sourceUrl, "UPDATE a SET u = 3 - u WHERE id < 3; UPDATE d SET id = 10 - id");
      await Promise.race([drain(sourceUrl), applier.ended]);
      strictEqual(await compareRows(sourceUrl, targetUrl), 13);
      await exec(sourceUrl, "INSERT INTO a SELECT n, 100, 'x' FROM generate_series(10, 11) AS n");
      await rejects(applier.ended, (error) => {
        if (!(error instanceof ChangeRefusedError)) return false;
        match(error.message, /insert: duplicate values of the DEFERRABLE key late key/);
        strictEqual(error.object, "table a");
        return true;
      });
    }
    deepStrictEqual(await query(targetUrl, "SELECT id FROM a WHERE id >= 10"), []);
  });
});

Deno.test("rows that a DEFERRABLE exclusion constraint excludes are noticed, and exchanged values are not", async () => {
  const tables = (apart = "", alone = "") =>
    `CREATE TABLE a (id int PRIMARY KEY, low int, high int, gone bool ${apart});
     CREATE TABLE f (id int, during int4range ${alone}); ALTER TABLE f REPLICA IDENTITY FULL`;
  await between({
    source: tables(),
    target: tables(
      ", CONSTRAINT apart EXCLUDE USING gist (int4range(low, high) WITH &&) WHERE (NOT gone) DEFERRABLE",
      ", CONSTRAINT alone EXCLUDE USING gist (during WITH &&) DEFERRABLE",
    ),
  }, async (stream) => {
    const { sourceUrl, targetUrl, name } = stream;
    {
      await using applier = new RunningApplier(stream);
      await exec(
        sourceUrl,
        `INSERT INTO a VALUES (1, 1, 10, false), (2, 20, 30, false), (3, 25, 40, true), (4, NULL, NULL, NULL);
         INSERT INTO f VALUES (1, '[1, 10)'), (2, '[20, 30)')`,
      );
      await exec(
        sourceUrl,
        `UPDATE a SET low = 21 - low, high = 40 - high WHERE id < 3;
         UPDATE f SET during = int4range(21 - lower(during), 40 - upper(during))`,
      );
      await exec(
        sourceUrl,
        `BEGIN; UPDATE a SET low = 50, high = 60 WHERE id = 1;
         INSERT INTO a VALUES (5, 20, 22, false), (6, 23, 25, false); COMMIT`,
      );
      await Promise.race([drain(sourceUrl), applier.ended]);
      strictEqual(await compareRows(sourceUrl, targetUrl), 8);
      await exec(sourceUrl, "INSERT INTO a VALUES (7, 55, 56, false)");
      await rejects(applier.ended, (error) => {
        if (!(error instanceof ChangeRefusedError)) return false;
        match(error.message, /insert: rows that the DEFERRABLE constraint apart excludes/);
        strictEqual(error.object, "table a");
        return true;
      });
    }
    deepStrictEqual(await query(targetUrl, "SELECT id FROM a WHERE id = 7"), []);
    await query(
      targetUrl,
      `UPDATE seren_apply.stream SET enabled = true, skip_lsn = (error ->> 'finishLsn')::pg_lsn WHERE name = $1`,
      [name],
    );
    await exec(sourceUrl, "INSERT INTO f VALUES (3, '[5, 6)')");
    await using applier = new RunningApplier(stream);
    await rejects(applier.ended, /DEFERRABLE constraint alone excludes/);
  });
});

Deno.test("triggers that fire for applied changes plan their statements as in any other session", async () => {
  const source =
    "CREATE TABLE a (id int PRIMARY KEY, v int); CREATE TABLE b (id int PRIMARY KEY, v int);";
  await between({
    source,
    target: `${source}
      ALTER TABLE b ADD own text DEFAULT current_setting('enable_seqscan');
      CREATE TABLE seen (what text, setting text);
      CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO public.seen VALUES (TG_NAME || ' ' || TG_OP,
          current_setting('enable_seqscan') || ' ' || current_setting('plan_cache_mode'));
        RETURN NULL;
      END $$;
      CREATE TRIGGER now AFTER INSERT OR UPDATE OR DELETE ON a FOR EACH ROW EXECUTE FUNCTION log();
      CREATE TRIGGER cut AFTER TRUNCATE ON a EXECUTE FUNCTION log();
      CREATE CONSTRAINT TRIGGER late AFTER INSERT ON a DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION log();
      ALTER TABLE a ENABLE ALWAYS TRIGGER now, ENABLE REPLICA TRIGGER cut, ENABLE ALWAYS TRIGGER late`,
  }, async (stream) => {
    const { sourceUrl, targetUrl } = stream;
    await using applier = new RunningApplier(stream);
    await exec(
      sourceUrl,
      `BEGIN; INSERT INTO a SELECT n, n FROM generate_series(1, 9) AS n; INSERT INTO b VALUES (1, 1); COMMIT`,
    );
    await Promise.race([drain(sourceUrl), applier.ended]);
    await exec(sourceUrl, "UPDATE a SET v = v + 1");
    await Promise.race([drain(sourceUrl), applier.ended]);
    await exec(sourceUrl, "UPDATE a SET v = 0 WHERE id = 1; DELETE FROM a WHERE id > 5");
    await Promise.race([drain(sourceUrl), applier.ended]);
    await exec(sourceUrl, "BEGIN; TRUNCATE a; INSERT INTO b VALUES (2, 2); COMMIT");
    await Promise.race([drain(sourceUrl), applier.ended]);
    const seen = await query(targetUrl, "SELECT DISTINCT what, setting FROM seen ORDER BY what");
    deepStrictEqual(
      seen.map(({ what, setting }) => [what, setting]),
      ["cut TRUNCATE", "late INSERT", "now DELETE", "now INSERT", "now UPDATE"].map((what) => [
        what,
        "on auto",
      ]),
    );
    deepStrictEqual(await query(targetUrl, "SELECT DISTINCT own FROM b"), [{ own: "off" }]);
  });
});

Deno.test("more different statements than the target keeps are applied, and those that were forgotten again", async () => {
  const tables = 270;
  const schema = `DO $$ BEGIN FOR n IN 1..${tables} LOOP
    EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, v int)', n);
  END LOOP; END $$`;
  await between({ source: schema, target: schema }, async (stream) => {
    const { sourceUrl, targetUrl } = stream;
    const each = (statement: string) =>
      exec(
        sourceUrl,
        `DO $$ BEGIN FOR n IN 1..${tables} LOOP EXECUTE format('${statement}', n); END LOOP; END $$`,
      );
    await each("INSERT INTO t%s VALUES (1, 0), (2, 0)");
    await using applier = new RunningApplier(stream);
    for (let round = 0; round < 3; round++) {
      // one statement for each table and transaction: of a row, of several, and with a changed key
      await each("UPDATE t%s SET v = v + 1 WHERE id = 1");
      await each("UPDATE t%s SET v = v + 1");
      await each("UPDATE t%s SET id = 5 - id");
      await each("UPDATE t%s SET id = 5 - id");
    }
    await Promise.race([drain(sourceUrl), applier.ended]);
    strictEqual(await compareRows(sourceUrl, targetUrl), 2 * tables);
  });
});
