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
import { drain } from "../support/replicated.ts";
import { exec, query } from "../support/sql.ts";

const old = await sharedCluster(12);
const current = await sharedCluster(18);

const schema = `
  CREATE TABLE f (id int PRIMARY KEY, state text, v int, big text, j jsonb);
  ALTER TABLE f ALTER big SET STORAGE EXTERNAL;
  ALTER TABLE f REPLICA IDENTITY FULL;
  CREATE TABLE k (id int PRIMARY KEY, v text);
  CREATE TABLE plain (id int PRIMARY KEY, v text);`;

const filters = { f: `state = 'it''s "on"' AND v < 100 -- kept`, k: "k.id % 2 = 0" };

async function filtered(
  from: typeof old,
  use: (stream: ClientStream & { readonly apply: () => Promise<void> }) => Promise<void>,
  { options, tables = schema }: { readonly options?: string; readonly tables?: string } = {},
): Promise<void> {
  await using source = await createDatabase(from, tables, options);
  await using target = await createDatabase(current, tables, options);
  const stream = await createClientStream(source.url, target.url);
  try {
    for (const [table, filter] of Object.entries(filters)) {
      await query(
        target.url,
        "UPDATE seren_apply.stream_table SET row_filter = $2 WHERE table_name = $1",
        [table, filter],
      );
    }
    await use({
      ...stream,
      apply: async () => {
        await using applier = new RunningApplier(stream);
        await Promise.race([drain(source.url), applier.ended]);
      },
    });
  } finally {
    await endClientStream(stream);
  }
}

const on = `'it''s "on"'`;

async function expectFiltered({ sourceUrl, targetUrl }: ClientStream): Promise<number> {
  let rows = 0;
  for (const [table, filter] of [...Object.entries(filters), ["plain", "true"]] as const) {
    const select = (where: string) =>
      `SELECT json_agg(r ORDER BY id) AS rows, count(*)::int AS count FROM ${table} AS r WHERE ${where}`;
    const expected = await query(
      sourceUrl,
      select(filter.replace("k.id", "id").replace("-- kept", "")),
    );
    deepStrictEqual(await query(targetUrl, select("true")), expected, table);
    rows += Number(expected[0]!["count"]);
  }
  return rows;
}

Deno.test("changes are filtered as a publication of 15 would: rows enter, change, and leave", async () => {
  await filtered(old, async (stream) => {
    const { sourceUrl, apply } = stream;
    await exec(
      sourceUrl,
      `INSERT INTO f SELECT n, CASE WHEN n % 3 = 0 THEN ${on} WHEN n % 3 = 1 THEN 'off' END, n,
                            repeat('x', 5000), '{"a": [1, null]}' FROM generate_series(1, 200) AS n;
       INSERT INTO k SELECT n, 'v' FROM generate_series(1, 20) AS n;
       INSERT INTO plain SELECT n, 'v' FROM generate_series(1, 20) AS n`,
    );
    await apply();
    strictEqual(await expectFiltered(stream), 33 + 10 + 20);
    // with an unchanged value that is not sent: leave, enter, stay, stay out
    await exec(sourceUrl, "UPDATE f SET v = v + 90 WHERE id <= 60");
    await exec(sourceUrl, `UPDATE f SET state = ${on} WHERE id IN (1, 2, 4)`);
    await exec(sourceUrl, "UPDATE f SET v = v - 80 WHERE id <= 60");
    await exec(sourceUrl, "UPDATE f SET id = id + 1000 WHERE id IN (3, 4, 5)");
    await exec(sourceUrl, "DELETE FROM f WHERE id BETWEEN 20 AND 30");
    await exec(sourceUrl, "UPDATE k SET v = 'w' WHERE id < 10; DELETE FROM k WHERE id IN (11, 12)");
    // the key is the filter: 2 leaves, 3 enters, 4 stays
    await exec(
      sourceUrl,
      `BEGIN; UPDATE k SET id = 101 WHERE id = 2; UPDATE k SET id = 102 WHERE id = 3;
              UPDATE k SET id = 104 WHERE id = 4; UPDATE plain SET v = 'w'; COMMIT`,
    );
    await apply();
    await expectFiltered(stream);
    await exec(
      sourceUrl,
      `BEGIN; INSERT INTO k VALUES (200, 'before'); TRUNCATE k; INSERT INTO k VALUES (1, 'a'), (2, 'b'); COMMIT`,
    );
    await apply();
    await expectFiltered(stream);
  });
});

const typedFilters: readonly string[] = [
  "c = 'DE'",
  "c <> 'DX'",
  "b = B'101'",
  "one = 'o'",
  "d = 'DE' AND typed.one = 'o'",
  "n[1] = 1 AND pg_catalog.cardinality(s5.typed.n) = 2",
  "(p).a = 'ab' AND (p).b = 1",
  "x <@ box '((0,0),(9,9))'",
  "m > 'sad'",
  "s = '{1.5,2.25}'",
  String.raw`"Named" = 'n"\{},'`,
  "sorted < 'Z'",
  "loose = 'abc'",
  "v < 'b' OR U&\"\\0076\" > 'c'",
  "typed IS NOT NULL",
  "typed.* IS NOT NULL",
  "true",
];

const typedSchema = `
  CREATE DOMAIN code AS char(2);
  CREATE TYPE pair AS (a char(2), b int);
  CREATE TYPE mood AS ENUM ('sad', 'glad');
  CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
  ${
  typedFilters.map((_, index) => `
    CREATE SCHEMA s${index};
    CREATE TABLE s${index}.typed (
      id int PRIMARY KEY, "Big" text, c char(2), b bit(3), one char, d code, n int[], p pair, x box,
      m mood, s numeric(6, 3)[], "Named" text, sorted text COLLATE "en-x-icu",
      loose text COLLATE folded, v name);
    ALTER TABLE s${index}.typed REPLICA IDENTITY FULL;`).join("\n")
}`;

const typedChanges = String.raw`
  INSERT INTO typed VALUES
    (1, 'x', 'DE', B'101', 'o', 'DE', '{1,2}', '("ab",1)', '(1,1),(2,2)', 'glad', '{1.5,2.25}',
     'n"\{},', 'a', 'ABC', 'a'),
    (2, 'x', 'DX', B'100', 'p', 'DX', '{1}', '("aX",1)', '(1,1),(20,2)', 'sad', '{1.5,2.375}',
     'n', 'z', 'abd', 'b');
  INSERT INTO typed VALUES (3, NULL, 'D', B'101');
  UPDATE typed SET id = 10 + id WHERE id < 3;
  DELETE FROM typed WHERE id = 11;
  UPDATE typed SET c = 'DE', d = 'DE', one = 'o' WHERE id = 12;
  INSERT INTO typed SELECT 4, 'y', c, b, one, d, '{1,2}', p, x, 'glad', s, 'n"\{},', 'a', 'Abc', 'a'
    FROM typed WHERE id = 12;`;

Deno.test("a filter sees values of any type as the column has them, with its collation", async () => {
  await filtered(old, async ({ sourceUrl, targetUrl, apply }) => {
    for (const [index, filter] of typedFilters.entries()) {
      await query(
        targetUrl,
        "UPDATE seren_apply.stream_table SET row_filter = $1 WHERE schema_name = $2",
        [filter, `s${index}`],
      );
    }
    const all = typedFilters.map((_, index) =>
      `SET search_path = s${index}, public; ${typedChanges}`
    );
    await exec(sourceUrl, all.join("\n"));
    await apply();
    for (const [index, filter] of typedFilters.entries()) {
      const ids = (where: string) =>
        `SELECT json_agg(id ORDER BY id) AS ids FROM s${index}.typed WHERE ${where}`;
      deepStrictEqual(
        await query(targetUrl, ids("true")),
        await query(sourceUrl, ids(filter)),
        filter,
      );
    }
    await exec(
      sourceUrl,
      typedFilters.map((_, index) => `DELETE FROM s${index}.typed`).join(";"),
    );
    await apply();
    for (const [index, filter] of typedFilters.entries()) {
      deepStrictEqual(await query(targetUrl, `SELECT id FROM s${index}.typed`), [], filter);
    }
  }, { tables: typedSchema });
});

Deno.test("the filter of a database without an encoding sees the bytes of each value", async () => {
  await filtered(old, async ({ sourceUrl, targetUrl, apply }) => {
    await exec(
      targetUrl,
      String.raw`UPDATE seren_apply.stream_table SET row_filter = $$state = E'caf\xe9 "\\'$$
                  WHERE table_name = 'f'`,
    );
    await exec(
      sourceUrl,
      String
        .raw`INSERT INTO f (id, state) VALUES (1, E'caf\xe9 "\\'), (2, E'caf\xe8 "\\'), (3, E'caf\xef\xbf\xbd "\\'), (4, 'é'), (5, NULL)`,
    );
    await apply();
    deepStrictEqual(
      await query(targetUrl, "SELECT id, md5(state) AS state FROM f ORDER BY id"),
      await query(sourceUrl, "SELECT id, md5(state) AS state FROM f WHERE id = 1"),
    );
    await exec(sourceUrl, "UPDATE f SET state = (SELECT state FROM f WHERE id = 1) WHERE id = 2");
    await exec(sourceUrl, "UPDATE f SET state = 'plain' WHERE id = 1");
    await apply();
    deepStrictEqual(await query(targetUrl, "SELECT id FROM f"), [{ id: 2 }]);
  }, { options: "TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'" });
});

Deno.test("a filter that the target cannot evaluate stops the stream, with the filter", async () => {
  await filtered(old, async (stream) => {
    const { sourceUrl, targetUrl } = stream;
    await exec(
      targetUrl,
      "UPDATE seren_apply.stream_table SET row_filter = 'public.missing(id)' WHERE table_name = 'k'",
    );
    await exec(sourceUrl, "INSERT INTO plain VALUES (1, 'a'); INSERT INTO k VALUES (2, 'b')");
    await using applier = new RunningApplier(stream);
    await rejects(applier.ended, (error) => {
      if (!(error instanceof ChangeRefusedError)) return false;
      match(error.message, /cannot evaluate the row filter.*function public\.missing/);
      match(error.details.join("\n"), /WHERE public\.missing\(id\)/);
      return true;
    });
  });
});
