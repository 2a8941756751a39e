import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { ChangeRefusedError } from "../../lib/apply/internal.ts";
import { sharedCluster } from "../support/clusters.ts";
import {
  type ClientStream,
  createClientStream,
  endClientStream,
  RunningApplier,
} from "../support/client_stream.ts";
import { compareRows, drain } from "../support/replicated.ts";
import { createDatabase } from "../support/databases.ts";
import { exec, query } from "../support/sql.ts";

const old = await sharedCluster(12);
const current = await sharedCluster(18);
const pairs = [{ from: old, to: current }, { from: current, to: old }];

/** A stream between two databases with the same empty tables. */
async function streaming(
  { from, to }: typeof pairs[number],
  schema: string,
  use: (
    stream: ClientStream & { readonly apply: () => Promise<void> },
  ) => Promise<void>,
): Promise<void> {
  await using source = await createDatabase(from, schema);
  await using target = await createDatabase(to, schema);
  const stream = await createClientStream(source.url, target.url);
  try {
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

async function readRecord({ name, targetUrl }: ClientStream) {
  const [record] = await query<{
    enabled: boolean;
    errors: string;
    error: { message: string; details: string[]; key: unknown; finishLsn: string } | null;
    conflicts: Record<string, number>;
    transactions: string;
  }>(targetUrl, "SELECT * FROM seren_apply.stream WHERE name = $1", [name]);
  return record!;
}

const valueSchema = `
  CREATE TYPE mood AS ENUM ('sad', 'it''s "ok"', 'happy');
  CREATE TYPE pair AS (a int, b text);
  CREATE DOMAIN short AS text CHECK (length(value) < 100);
  CREATE DOMAIN firm AS int NOT NULL;
  CREATE TABLE v (
    id int PRIMARY KEY, i2 smallint, n numeric, f8 float8, f4 real, t text, vc varchar(20), bp char(6),
    b bytea, d date, ts timestamp, tz timestamptz, tm time, iv interval, j json, jb jsonb, x xml,
    ia int[], ta text[], m mood, ma mood[], p pair, pa pair[], s short, fi firm, r int4range, bx box,
    bxa box[], u uuid, ip inet, bi bit(5), vb varbit, tv tsvector, c "char", mo money, nm name, pt point
  );
  CREATE TABLE w (LIKE v);
  ALTER TABLE w REPLICA IDENTITY FULL;`;

const valueRows = `
  SELECT n, n, (ARRAY['NaN', '1.00', '-0.10', '123456789012345678901234567890.5'])[1 + n % 4]::numeric,
    (ARRAY['NaN', 'Infinity', '-0', '1e-300'])[1 + n % 4]::float8, 0.1::real,
    E'tab\\t new\\nline\\r back\\\\slash "quoted" {brace}, NULL \\\\N \\\\. ''x'' ü€😀', E'\\\\.', 'ab',
    decode('005c22ff', 'hex'), '4713-01-01 BC'::date, 'infinity'::timestamp, '0044-03-15 12:00+00 BC'::timestamptz, '24:00'::time, '-1 mon +2 days -03:00'::interval,
    '{"a":  1, "a": 2}'::json, '{"b": [1, null]}'::jsonb, '<a b="c"/>'::xml, ARRAY[[1, NULL], [3, 4]], ARRAY['', 'NULL', NULL, 'a"b\\c,{}'],
    'it''s "ok"'::mood, ARRAY['happy', NULL]::mood[], ROW(1, 'x"y\\,(')::pair, ARRAY[ROW(NULL, ''), NULL]::pair[], 's', 7,
    '[1,5)'::int4range, '((1,2),(3,4))'::box, ARRAY['((1,2),(3,4))'::box, '((0,0),(1,1))'], '00000000-0000-0000-0000-00000000000a'::uuid,
    '::1/64'::inet, B'10101', B'', 'a:1 b'::tsvector, 'q'::"char", '12.34'::money, 'name'::name, '(1,2)'::point
    FROM generate_series(1, 12) AS n
  UNION ALL SELECT 100, NULL, NULL, NULL, NULL, '', NULL, NULL, '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    '{}', '{}', NULL, NULL, NULL, NULL, NULL, 0, 'empty', NULL, NULL, NULL, NULL, NULL, NULL, '', NULL, NULL, NULL, NULL`;

for (const [at, pair] of pairs.entries()) {
  Deno.test(`values of all types arrive unchanged, in one statement or singly (${at})`, async () => {
    await streaming(pair, valueSchema, async ({ sourceUrl, targetUrl, apply }) => {
      await exec(
        sourceUrl,
        `INSERT INTO v ${valueRows}; INSERT INTO w ${valueRows}; INSERT INTO w ${valueRows}`,
      );
      await exec(sourceUrl, "UPDATE v SET i2 = i2 + 1, t = t || t, ia = ia || ia WHERE id < 4");
      await exec(sourceUrl, "UPDATE v SET n = n + 1, m = 'sad' WHERE id BETWEEN 4 AND 9");
      await exec(
        sourceUrl,
        "UPDATE v SET id = id + 1000 WHERE id = 10; DELETE FROM v WHERE id > 11 AND id < 100",
      );
      // one of two identical rows
      await exec(
        sourceUrl,
        `UPDATE w SET t = 'changed' WHERE ctid = (SELECT min(ctid) FROM w WHERE id = 3);
         DELETE FROM w WHERE ctid = (SELECT min(ctid) FROM w WHERE id = 5);
         DELETE FROM w WHERE ctid = (SELECT min(ctid) FROM w WHERE id = 100)`,
      );
      await apply();
      strictEqual(await compareRows(sourceUrl, targetUrl), 12 + 24);
    });
  });
}

Deno.test("any order of changes of the same rows leads to the same rows", async () => {
  const schema = `
    CREATE TABLE a (k int, l text, v int, big text, u int UNIQUE, PRIMARY KEY (k, l));
    ALTER TABLE a ALTER big SET STORAGE EXTERNAL;
    CREATE TABLE f (k int, l text, v int, big text, u int);
    ALTER TABLE f REPLICA IDENTITY FULL;
    CREATE TABLE g (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, seq int GENERATED ALWAYS AS IDENTITY,
                    v int, d int GENERATED ALWAYS AS (v * 2) STORED)`.replace(
    "seq int GENERATED ALWAYS AS IDENTITY",
    "other int",
  );
  for (const pair of pairs) {
    await streaming(pair, schema, async (stream) => {
      const { sourceUrl, targetUrl, apply } = stream;
      let seed = 7;
      const random = (below: number) => (seed = (seed * 48271) % 2147483647) % below;
      const step = () => {
        const table = "aafg"[random(4)]!;
        const [k, l, v] = [random(6), "xy"[random(2)]!, random(1000)];
        if (table === "g") {
          return [
            `INSERT INTO g (v) VALUES (${v})`,
            `UPDATE g SET v = ${v} WHERE id % 5 = ${k}`,
            `DELETE FROM g WHERE id % 7 = ${k}`,
          ][random(3)]!;
        }
        const values = `(${k}, '${l}', ${v}, repeat(md5('${v}'), 100), ${random(9)})`;
        return [
          `INSERT INTO ${table} VALUES ${values} ON CONFLICT DO NOTHING`,
          `UPDATE ${table} SET v = ${v} WHERE k = ${k}`,
          `UPDATE ${table} SET big = repeat('${l}', ${v * 3}) WHERE k = ${k} AND l = '${l}'`,
          `UPDATE ${table} SET u = NULL WHERE k = ${k} AND l = '${l}'`,
          `DELETE FROM ${table} WHERE k = ${k} AND l = '${l}'`,
          `UPDATE ${table} SET k = k + 10 WHERE k = ${k} AND l = '${l}'
             AND NOT EXISTS (SELECT FROM ${table} AS o WHERE o.k = ${k} + 10 AND o.l = '${l}')`,
          `UPDATE ${table} SET k = k - 10 WHERE k = ${k} + 10 AND l = '${l}'
             AND NOT EXISTS (SELECT FROM ${table} AS o WHERE o.k = ${k} AND o.l = '${l}')`,
        ][random(7)]!;
      };
      for (let round = 0; round < 4; round++) {
        const transactions = Array.from(
          { length: 60 },
          () => `BEGIN; ${Array.from({ length: 1 + random(12) }, step).join(";\n")}; COMMIT;`,
        );
        await exec(sourceUrl, transactions.join("\n"));
        await apply();
        await compareRows(sourceUrl, targetUrl);
      }
      strictEqual((await readRecord(stream)).errors, "0");
    });
  }
});

Deno.test("values of a unique column that are exchanged are applied in the order of the source", async () => {
  const schema = "CREATE TABLE a (id int PRIMARY KEY, u int UNIQUE)";
  await streaming(pairs[1]!, schema, async (stream) => {
    const { sourceUrl, targetUrl, apply } = stream;
    await exec(sourceUrl, "INSERT INTO a SELECT n, n FROM generate_series(1, 100) AS n");
    await exec(
      sourceUrl,
      "BEGIN; UPDATE a SET u = 0 WHERE id = 1; UPDATE a SET u = 1 WHERE id = 2; UPDATE a SET u = 2 WHERE id = 1; COMMIT",
    );
    await exec(sourceUrl, "INSERT INTO a VALUES (101, 101)");
    await apply();
    strictEqual(await compareRows(sourceUrl, targetUrl), 101);
    strictEqual((await readRecord(stream)).errors, "0");
  });
});

Deno.test("a key that no UPDATE can set changes, also in the order of the source", async () => {
  const schema = `
    CREATE TABLE a (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, u int UNIQUE, big text);
    ALTER TABLE a ALTER big SET STORAGE EXTERNAL;
    CREATE TABLE w (id int GENERATED BY DEFAULT AS IDENTITY, v text);
    ALTER TABLE w REPLICA IDENTITY FULL;`;
  await streaming(pairs[0]!, schema, async (stream) => {
    const { sourceUrl, targetUrl, apply } = stream;
    await exec(
      targetUrl,
      `ALTER TABLE a ALTER id SET GENERATED ALWAYS, ADD own text; ALTER TABLE w ALTER id SET GENERATED ALWAYS`,
    );
    await exec(
      sourceUrl,
      `INSERT INTO a SELECT n, n, repeat('x', 5000) FROM generate_series(1, 4) AS n;
       INSERT INTO w VALUES (1, 'a'), (1, 'a'), (2, 'b')`,
    );
    await apply();
    await exec(targetUrl, "UPDATE a SET own = 'kept ' || id");
    await exec(sourceUrl, "UPDATE a SET id = 11 WHERE id = 1");
    // exchanged values cannot be combined
    await exec(
      sourceUrl,
      `BEGIN; UPDATE a SET u = 0 WHERE id = 3; UPDATE a SET u = 3 WHERE id = 2; UPDATE a SET u = 2 WHERE id = 3;
         UPDATE a SET id = 12 WHERE id = 2; UPDATE a SET id = 13, big = 'new' WHERE id = 3;
         UPDATE w SET id = 7, v = 'c' WHERE id = 2; UPDATE w SET v = 'd' WHERE ctid = '(0,1)'; COMMIT`,
    );
    await apply();
    const rows = (url: string, more: string) =>
      query(url, `SELECT id, u, md5(big) AS big${more} FROM a ORDER BY id`);
    deepStrictEqual(await rows(targetUrl, ""), await rows(sourceUrl, ""));
    deepStrictEqual(
      (await query(targetUrl, "SELECT string_agg(own, ',' ORDER BY id) AS own FROM a"))[0]!["own"],
      "kept 4,kept 1,kept 2,kept 3",
    );
    const all = "SELECT id, v FROM w ORDER BY id, v";
    deepStrictEqual(await query(targetUrl, all), await query(sourceUrl, all));
  });
});

Deno.test("rows of tables without columns that can be written arrive and go", async () => {
  const schema = `CREATE TABLE none (); ALTER TABLE none REPLICA IDENTITY FULL;
    CREATE TABLE own (); CREATE TABLE computed (id int GENERATED ALWAYS AS (1) STORED);
    CREATE TABLE u (id int PRIMARY KEY, v int UNIQUE);`;
  await streaming(pairs[0]!, schema, async (stream) => {
    const { sourceUrl, targetUrl, apply } = stream;
    await exec(targetUrl, "ALTER TABLE own ADD v int DEFAULT 5");
    await exec(
      sourceUrl,
      `BEGIN; INSERT INTO none SELECT FROM generate_series(1, 5); INSERT INTO own DEFAULT VALUES;
       INSERT INTO computed SELECT FROM generate_series(1, 3); COMMIT;
       INSERT INTO none DEFAULT VALUES; DELETE FROM none WHERE ctid = '(0,2)';
       INSERT INTO u VALUES (1, 1), (2, 2)`,
    );
    await apply();
    await exec(
      sourceUrl,
      `BEGIN; UPDATE u SET v = 0 WHERE id = 1; UPDATE u SET v = 1 WHERE id = 2; UPDATE u SET v = 2 WHERE id = 1;
       INSERT INTO none DEFAULT VALUES; INSERT INTO computed DEFAULT VALUES; COMMIT`,
    );
    await apply();
    deepStrictEqual(
      await query(
        targetUrl,
        `SELECT (SELECT count(*)::int FROM none) AS none, (SELECT json_agg(v) FROM own) AS own,
                (SELECT json_agg(id) FROM computed) AS computed, (SELECT json_agg(v ORDER BY id) FROM u) AS u`,
      ),
      [{ none: 6, own: [5], computed: [1, 1, 1, 1], u: [2, 1] }],
    );
  });
});

Deno.test("a transaction of many megabytes is applied as it arrives, and as a whole", async () => {
  const schema = "CREATE TABLE a (id int PRIMARY KEY, t text, u int UNIQUE)";
  await streaming(pairs[0]!, schema, async (stream) => {
    const { sourceUrl, targetUrl, apply } = stream;
    await exec(
      sourceUrl,
      `BEGIN; INSERT INTO a SELECT n, repeat(md5(n::text), 10), n FROM generate_series(1, 40000) AS n;
       UPDATE a SET t = 'x' || t WHERE id % 3 = 0; DELETE FROM a WHERE id % 10 = 0;
       UPDATE a SET u = -1 WHERE id = 1; UPDATE a SET u = 1 WHERE id = 2; UPDATE a SET u = 2 WHERE id = 1; COMMIT`,
    );
    await apply();
    strictEqual(await compareRows(sourceUrl, targetUrl), 36_000);
  });
});

Deno.test("rows are found through the index of their key, and without one the table is read once", async () => {
  const schema = `CREATE TABLE a (id int PRIMARY KEY, v int); CREATE TABLE b (LIKE a);
    CREATE UNIQUE INDEX key ON b (id); ALTER TABLE b ALTER id SET NOT NULL;
    ALTER TABLE b REPLICA IDENTITY USING INDEX key; CREATE TABLE other ();`;
  await streaming(pairs[0]!, schema, async ({ sourceUrl, targetUrl, apply }) => {
    await exec(targetUrl, "DROP INDEX key");
    const scans = async () => {
      const [read] = await query<{ a: number; b: number }>(
        targetUrl,
        `SELECT (SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'a')::int AS a,
                (SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'b')::int AS b`,
      );
      return read!;
    };
    const before = await scans();
    for (const table of ["a", "b"]) {
      await exec(
        sourceUrl,
        `BEGIN; INSERT INTO ${table} SELECT n, 0 FROM generate_series(1, 5000) AS n; COMMIT;
         BEGIN; TRUNCATE other; UPDATE ${table} SET v = 1; DELETE FROM ${table} WHERE id > 4000; COMMIT`,
      );
    }
    await apply();
    const after = await scans();
    deepStrictEqual({ a: after.a - before.a, b: after.b - before.b }, { a: 0, b: 2 });
    strictEqual(await compareRows(sourceUrl, targetUrl), 8000);
  });
});

/** The publication lists tables, as those of the tool do. */
async function publishByName(
  { sourceUrl, name }: ClientStream,
  tables: string,
): Promise<void> {
  await exec(
    sourceUrl,
    `BEGIN; DROP PUBLICATION "${name}"; CREATE PUBLICATION "${name}" FOR TABLE ${tables}; COMMIT`,
  );
}

Deno.test("TRUNCATE keeps its place, and changes of tables that were left out are ignored", async () => {
  const schema = `CREATE TABLE a (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v int);
    CREATE TABLE b (id int PRIMARY KEY REFERENCES a); CREATE TABLE other (id int PRIMARY KEY)`;
  await streaming(pairs[1]!, schema, async (stream) => {
    const { sourceUrl, targetUrl, apply, name } = stream;
    await publishByName(stream, "a, b, other");
    await query(
      targetUrl,
      "DELETE FROM seren_apply.stream_table WHERE stream = $1 AND table_name = 'other'",
      [name],
    );
    await exec(
      sourceUrl,
      `BEGIN; INSERT INTO a (v) SELECT 1 FROM generate_series(1, 5); INSERT INTO b VALUES (1);
       TRUNCATE a, b RESTART IDENTITY; INSERT INTO a (v) VALUES (2); INSERT INTO b VALUES (1); COMMIT;
       INSERT INTO other VALUES (1); TRUNCATE other, b; INSERT INTO other VALUES (1);
       INSERT INTO a (v) VALUES (3)`,
    );
    await exec(sourceUrl, `ALTER PUBLICATION "${name}" DROP TABLE other`);
    await apply();
    strictEqual(await compareRows(sourceUrl, targetUrl, { without: ["public.other"] }), 2);
    deepStrictEqual(await query(targetUrl, "SELECT * FROM other"), []);
  });
});

const conflicts = [
  {
    conflict: "insert_exists",
    arrange: "INSERT INTO a VALUES (5, 'here')",
    change: "INSERT INTO a VALUES (5, 'there')",
    repair: "DELETE FROM a WHERE id = 5",
    says: [/duplicate key/, /on the source: id = 5, t = there/, /on the target: \(5,here\)/],
  },
  {
    conflict: "update_missing",
    arrange: "DELETE FROM a WHERE id = 1",
    change: "UPDATE a SET t = 'there' WHERE id = 1",
    repair: "INSERT INTO a VALUES (1, 'one')",
    says: [
      /no rows match on the target/,
      /on the source: id = 1, t = there/,
      /on the target: no such row/,
    ],
  },
  {
    conflict: "delete_missing",
    arrange: "DELETE FROM a WHERE id = 1",
    change: "DELETE FROM a WHERE id = 1",
    repair: "INSERT INTO a VALUES (1, 'one')",
    says: [/no rows match on the target/, /before, on the source: id = 1/, /no such row/],
  },
];

for (const { conflict, arrange, change, repair, says } of conflicts) {
  Deno.test(`${conflict} stops the stream before anything of its transaction is applied`, async () => {
    const schema = "CREATE TABLE a (id int PRIMARY KEY, t text)";
    await streaming(pairs[0]!, schema, async (stream) => {
      const { sourceUrl, targetUrl, apply, name } = stream;
      await exec(sourceUrl, "INSERT INTO a SELECT n, 'n' FROM generate_series(1, 3) AS n");
      await apply();
      await exec(targetUrl, arrange);
      await exec(sourceUrl, "INSERT INTO a VALUES (10, 'before')");
      await exec(sourceUrl, `BEGIN; INSERT INTO a VALUES (11, 'with'); ${change}; COMMIT`);
      await exec(sourceUrl, "INSERT INTO a VALUES (12, 'after')");
      await rejects(apply(), (error) => {
        ok(error instanceof ChangeRefusedError);
        const text = [error.message, ...error.details].join("\n");
        for (const each of says) match(text, each);
        match(error.remedy ?? "", /sync --retry; .* sync --skip-lsn [0-9A-F]+\/[0-9A-F]+/);
        strictEqual(error.object, "table a");
        return true;
      });
      const ids = "SELECT json_agg(id ORDER BY id) FILTER (WHERE id >= 10) AS ids FROM a";
      deepStrictEqual((await query(targetUrl, ids))[0]!["ids"], [10]);
      const record = await readRecord(stream);
      deepStrictEqual([record.enabled, record.errors, record.conflicts], [false, "1", {
        [conflict]: 1,
      }]);
      // a stopped stream stays stopped
      await using idle = new RunningApplier(stream);
      await idle.ended;
      const start =
        "UPDATE seren_apply.stream SET enabled = true, error = NULL, skip_lsn = $2::text::pg_lsn WHERE name = $1";
      if (conflict === "delete_missing") {
        await query(targetUrl, start, [name, record.error!.finishLsn]);
        await apply();
        deepStrictEqual((await query(targetUrl, ids))[0]!["ids"], [10, 12]);
        const [{ skip_lsn } = { skip_lsn: "" }] = await query<{ skip_lsn: string | null }>(
          targetUrl,
          "SELECT skip_lsn FROM seren_apply.stream",
        );
        strictEqual(skip_lsn, null);
      } else {
        await exec(targetUrl, repair);
        await query(targetUrl, start, [name, null]);
        await apply();
        await compareRows(sourceUrl, targetUrl);
      }
    });
  });
}

Deno.test("a stream that another session stops ends at once, and commits nothing afterwards", async () => {
  await streaming(pairs[1]!, "CREATE TABLE a (id int PRIMARY KEY)", async (stream) => {
    const { sourceUrl, targetUrl, apply } = stream;
    await exec(sourceUrl, "INSERT INTO a VALUES (1)");
    await using applier = new RunningApplier(stream);
    await drain(sourceUrl);
    await query(targetUrl, "UPDATE seren_apply.stream SET enabled = false");
    await exec(sourceUrl, "INSERT INTO a VALUES (2)");
    await applier.ended;
    deepStrictEqual(await query(targetUrl, "SELECT id FROM a"), [{ id: 1 }]);
    await query(targetUrl, "UPDATE seren_apply.stream SET enabled = true");
    await apply();
    strictEqual(await compareRows(sourceUrl, targetUrl), 2);
  });
});

Deno.test("a column that was added on the source stops the stream after what came before, and loses nothing", async () => {
  await streaming(pairs[0]!, "CREATE TABLE a (id int PRIMARY KEY)", async (stream) => {
    const { sourceUrl, targetUrl, apply, name } = stream;
    await exec(sourceUrl, "INSERT INTO a VALUES (1)");
    await apply();
    await exec(sourceUrl, "ALTER TABLE a ADD COLUMN v int DEFAULT 3");
    await exec(sourceUrl, "INSERT INTO a VALUES (2, 4)");
    await rejects(
      apply(),
      (error) =>
        error instanceof ChangeRefusedError &&
        /table a: the source sends v, but the target's table has no such column/.test(
          error.message,
        ),
    );
    const record = await readRecord(stream);
    deepStrictEqual([record.enabled, record.errors], [false, "1"]);
    match(record.error!.finishLsn, /^[0-9A-F]+\/[0-9A-F]+$/);
    await exec(targetUrl, "ALTER TABLE a ADD COLUMN v int DEFAULT 3");
    await query(targetUrl, "UPDATE seren_apply.stream SET enabled = true WHERE name = $1", [name]);
    await apply();
    strictEqual(await compareRows(sourceUrl, targetUrl), 2);
  });
});

for (
  const { what, change, before, after } of [
    {
      what: "was renamed",
      change: "ALTER TABLE a RENAME TO b",
      before: "",
      after: "ALTER TABLE a RENAME TO b",
    },
    {
      what: "was added to the publication while the stream runs",
      change: "ALTER PUBLICATION $NAME ADD TABLE b",
      before: "CREATE TABLE b (id int)",
      after: "",
    },
  ]
) {
  Deno.test(`a published table that ${what} is never left out, until it leaves the publication`, async () => {
    await streaming(pairs[0]!, "CREATE TABLE a (id int PRIMARY KEY)", async (stream) => {
      const { sourceUrl, targetUrl, apply, name } = stream;
      if (before !== "") await exec(sourceUrl, "CREATE TABLE b (id int PRIMARY KEY)");
      await publishByName(stream, "a");
      await exec(sourceUrl, "INSERT INTO a VALUES (1)");
      await using applier = new RunningApplier(stream);
      await Promise.race([drain(sourceUrl), applier.ended]);
      await exec(targetUrl, before);
      await exec(sourceUrl, change.replace("$NAME", `"${name}"`));
      for (const id of [1000, 1001]) await exec(sourceUrl, `INSERT INTO b VALUES (${id})`);
      const isRefused = (remedy: RegExp) => (error: unknown) =>
        error instanceof ChangeRefusedError && remedy.test(error.details.join("\n")) &&
        /table b: the table is published, but does not belong to the stream/.test(error.message);
      await rejects(
        Promise.race([applier.ended, drain(sourceUrl)]),
        isRefused(
          before === ""
            ? /rename it on the target too and copy it with sync --resnapshot b, or, .* --add-tables b/
            : /copy it with sync --resnapshot b, then run sync --retry/,
        ),
      );
      await exec(targetUrl, after);
      const start = "UPDATE seren_apply.stream SET enabled = true WHERE name = $1";
      await query(targetUrl, start, [name]);
      await rejects(apply(), isRefused(/copy it with sync --resnapshot b, then run sync --retry/));
      // as sync --resnapshot does, whose copy has these changes
      await exec(sourceUrl, `ALTER PUBLICATION "${name}" DROP TABLE b`);
      await query(targetUrl, start, [name]);
      await apply();
    });
  });
}

for (
  const { what, filter, guilty } of [
    {
      what: "the target's table cannot take",
      filter: null,
      guilty: "INSERT INTO c VALUES (3, 3)",
    },
    {
      what: "the row filter cannot judge",
      filter: "10 / (id - 3) < 20",
      guilty: "INSERT INTO a VALUES (3)",
    },
  ]
) {
  Deno.test(`of waiting transactions, that with a change that ${what} is named and skipped alone`, async () => {
    const schema = `CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY);
      CREATE TABLE other (id int)`;
    await streaming(pairs[0]!, schema, async (stream) => {
      const { sourceUrl, targetUrl, apply, name } = stream;
      await publishByName(stream, "a, c");
      await exec(sourceUrl, "ALTER TABLE c ADD COLUMN v int");
      await query(
        targetUrl,
        "UPDATE seren_apply.stream_table SET row_filter = $1 WHERE table_name = 'a'",
        [filter],
      );
      for (
        const statement of [
          "INSERT INTO a VALUES (1)",
          "INSERT INTO a VALUES (2)",
          // the source sends nothing of it but its beginning and end
          "INSERT INTO other VALUES (1)",
          guilty,
          "INSERT INTO a VALUES (4)",
        ]
      ) await exec(sourceUrl, statement);
      const ids = "SELECT json_agg(id ORDER BY id) AS ids FROM a";
      await rejects(apply(), ChangeRefusedError);
      deepStrictEqual(await query(targetUrl, ids), [{ ids: [1, 2] }]);
      const { error } = await readRecord(stream);
      const [next] = await query<{ first: boolean }>(
        targetUrl,
        "SELECT end_lsn <= $1::text::pg_lsn AS first FROM seren_apply.stream",
        [error!.finishLsn],
      );
      strictEqual(next!.first, true);
      await query(
        targetUrl,
        "UPDATE seren_apply.stream SET enabled = true, skip_lsn = (error ->> 'finishLsn')::pg_lsn WHERE name = $1",
        [name],
      );
      await apply();
      deepStrictEqual(await query(targetUrl, ids), [{ ids: [1, 2, 4] }]);
    });
  });
}

Deno.test("updates of rows with composite values are combined", async () => {
  const schema = `CREATE TYPE pair AS (a int, b text); CREATE DOMAIN firm AS pair;
    CREATE TABLE a (id int PRIMARY KEY, p pair, f firm)`;
  await streaming(pairs[1]!, schema, async (stream) => {
    const { sourceUrl, targetUrl, apply } = stream;
    await exec(
      sourceUrl,
      "INSERT INTO a SELECT n, ROW(n, 'x')::pair, ROW(n, 'y')::pair::firm FROM generate_series(1, 50) AS n",
    );
    await apply();
    await exec(sourceUrl, "UPDATE a SET p = ROW(id, NULL)::pair, f = ROW(NULL, 'z')::pair::firm");
    await apply();
    strictEqual(await compareRows(sourceUrl, targetUrl), 50);
  });
});

Deno.test("tokens of a cutover that a reversed stream has skipped may be missing when they are deleted", async () => {
  const schema = `CREATE TABLE t (id int PRIMARY KEY); CREATE SCHEMA seren_cutover;
    CREATE TABLE seren_cutover.token_1 (id text PRIMARY KEY, sent_at timestamptz DEFAULT now());`;
  await streaming({ from: old, to: current }, schema, async (stream) => {
    const { sourceUrl, targetUrl, name, apply } = stream;
    await query(
      targetUrl,
      "INSERT INTO seren_apply.stream_table VALUES ($1, 'seren_cutover', 'token_1')",
      [name],
    );
    await exec(
      sourceUrl,
      "INSERT INTO seren_cutover.token_1 SELECT n FROM generate_series(1, 9) AS n",
    );
    await apply();
    await exec(targetUrl, "DELETE FROM seren_cutover.token_1 WHERE id < '5'");
    await exec(
      sourceUrl,
      `DELETE FROM seren_cutover.token_1 WHERE id < '8'; INSERT INTO t VALUES (1);
       DELETE FROM seren_cutover.token_1 WHERE id = '8'`,
    );
    await apply();
    deepStrictEqual(await query(targetUrl, "SELECT id FROM t"), [{ id: 1 }]);
    deepStrictEqual(await query(targetUrl, "SELECT id FROM seren_cutover.token_1"), [{ id: "9" }]);
  });
});

Deno.test("a trigger that is enabled ALWAYS sees each change, in the order of the source", async () => {
  const schema =
    `CREATE TABLE t (id int PRIMARY KEY, v int); CREATE TABLE seen (n serial, what text);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO public.seen (what) VALUES (TG_OP || ' ' || coalesce(NEW.id, OLD.id) || ' ' || coalesce(NEW.v, OLD.v));
      RETURN NULL; END $$;
    CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION note();`;
  await streaming(
    { from: old, to: current },
    schema,
    async ({ sourceUrl, targetUrl, name, apply }) => {
      await exec(targetUrl, "ALTER TABLE t ENABLE ALWAYS TRIGGER note");
      await query(
        targetUrl,
        "UPDATE seren_apply.stream_table SET row_filter = 'false' WHERE table_name = 'seen' AND stream = $1",
        [name],
      );
      await exec(
        sourceUrl,
        `BEGIN; INSERT INTO t VALUES (1, 1), (2, 1); UPDATE t SET v = 2; UPDATE t SET v = 3 WHERE id = 1;
       DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (2, 9); COMMIT`,
      );
      await apply();
      const read = (url: string) => query(url, "SELECT what FROM seen ORDER BY n");
      deepStrictEqual(await read(targetUrl), await read(sourceUrl));
    },
  );
});
