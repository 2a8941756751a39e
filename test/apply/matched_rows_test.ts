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
