/** What verify() must find, and what it must not. */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { readRuleFlags } from "../../lib/rules/internal.ts";
import { sharedCluster } from "../support/clusters.ts";
import { createDatabase, type TestDatabase, withDatabase } from "../support/databases.ts";
import { exec, query } from "../support/sql.ts";
import { type VerifiedTable, VerifyJournal } from "../../lib/verify/internal.ts";
import {
  rowsVerdict,
  runVerify,
  unequalTables,
  type VerifyTestOptions,
} from "../support/verify.ts";

const source = await sharedCluster(13);
const target = await sharedCluster(17);

/** Compares two databases with the same contents, after `change` was run on the target. */
async function compared(
  schema: string,
  change: string,
  options: VerifyTestOptions = {},
  use: (sides: { from: TestDatabase; to: TestDatabase }) => Promise<void> = () => Promise.resolve(),
) {
  return await withDatabase(source, undefined, async (from) => {
    return await withDatabase(target, undefined, async (to) => {
      await exec(from.url, schema);
      await exec(to.url, schema);
      if (change !== "") await exec(to.url, change);
      const report = await runVerify(from.url, to.url, options);
      await use({ from, to });
      return report;
    });
  });
}

/** `kind column: source → target` of every difference. */
function differencesOf({ differences }: VerifiedTable): readonly string[] {
  return differences.map(({ kind, key, columns }) =>
    [
      kind,
      ...key.map(({ column, value }) => `${column}=${value}`),
      ...columns.map(({ column, source, target }) => `${column}: ${source} → ${target}`),
    ].join(" ")
  );
}

const cases: readonly {
  readonly name: string;
  readonly schema: string;
  readonly change: string;
  readonly found: readonly string[];
}[] = [
  {
    name: "one bit of a bytea",
    schema: `CREATE TABLE t (id int PRIMARY KEY, b bytea);
      INSERT INTO t VALUES (1, '\\x00ff'), (2, '\\xffff')`,
    change: `UPDATE t SET b = '\\x01ff' WHERE id = 1`,
    found: ["different id=1 b: \\x00ff → \\x01ff"],
  },
  {
    name: "a trailing space",
    schema: `CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b')`,
    change: `UPDATE t SET v = 'b ' WHERE id = 2`,
    found: ["different id=2 v: b → b "],
  },
  {
    name: "NULL and the empty string",
    schema: `CREATE TABLE t (id int PRIMARY KEY, v text, w text);
      INSERT INTO t VALUES (1, NULL, ''), (2, '', NULL)`,
    change: `UPDATE t SET v = '', w = NULL WHERE id = 1`,
    found: ["different id=1 v: null →  w:  → null"],
  },
  {
    name: "what a separator would hide",
    schema: `CREATE TABLE t (id int PRIMARY KEY, v text, w text);
      INSERT INTO t VALUES (1, 'a|b', 'c'), (2, 'a,b', '"c"')`,
    change:
      `UPDATE t SET v = 'a', w = 'b|c' WHERE id = 1; UPDATE t SET v = 'a', w = 'b,"c"' WHERE id = 2`,
    found: [
      "different id=1 v: a|b → a w: c → b|c",
      'different id=2 v: a,b → a w: "c" → b,"c"',
    ],
  },
  {
    name: "values swapped between two rows",
    schema: `CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b')`,
    change: `UPDATE t SET v = CASE v WHEN 'a' THEN 'b' ELSE 'a' END`,
    found: ["different id=1 v: a → b", "different id=2 v: b → a"],
  },
  {
    name: "one duplicate more, and two less",
    schema: `CREATE TABLE t (v text);
      INSERT INTO t SELECT 'same' FROM generate_series(1, 100); INSERT INTO t SELECT 'pair' FROM generate_series(1, 2)`,
    change: `INSERT INTO t VALUES ('same'); DELETE FROM t WHERE v = 'pair'`,
    found: ["extra v: undefined → same", "missing v: pair → undefined"],
  },
  {
    name: "-0 and 0, the scale of a number, and a NaN's company",
    schema: `CREATE TABLE t (id int PRIMARY KEY, f float8, g real, n numeric);
      INSERT INTO t VALUES (1, '-0', '-0', 1.0), (2, 'NaN', 0, 2)`,
    change: `UPDATE t SET f = 0, g = 0, n = 1.00 WHERE id = 1`,
    found: ["different id=1 f: -0 → 0 g: -0 → 0 n: 1.0 → 1.00"],
  },
  {
    name: "a microsecond",
    schema: `CREATE TABLE t (id int PRIMARY KEY, a timestamptz, i interval);
      INSERT INTO t VALUES (1, '2024-01-01 00:00:00.000001+00', '1 mon')`,
    change: `UPDATE t SET a = '2024-01-01 00:00:00.000002+00', i = '30 days'`,
    found: [
      "different id=1 a: 2024-01-01 00:00:00.000001+00 → 2024-01-01 00:00:00.000002+00 i: 1 mon → 30 days",
    ],
  },
  {
    name: "a key of a jsonb, and the spaces of a json",
    schema: `CREATE TABLE t (id int PRIMARY KEY, j jsonb, k json);
      INSERT INTO t VALUES (1, '{"a": 1}', '{"a":1}')`,
    change: `UPDATE t SET j = '{"b": 1}', k = '{"a": 1}'`,
    found: ['different id=1 j: {"a": 1} → {"b": 1} k: {"a":1} → {"a": 1}'],
  },
  {
    name: "an enum's label, also in arrays and composites",
    schema: `CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE TYPE pair AS (m mood, n int);
      CREATE TABLE t (id int PRIMARY KEY, m mood, ms mood[], p pair);
      INSERT INTO t VALUES (1, 'sad', '{sad,glad}', '(sad,1)'), (2, 'glad', NULL, NULL)`,
    change: `UPDATE t SET m = 'glad', ms = '{glad,sad}', p = '(glad,1)' WHERE id = 1`,
    found: ["different id=1 m: sad → glad ms: {sad,glad} → {glad,sad} p: (sad,1) → (glad,1)"],
  },
  {
    name: "numbers whose hashes are the same",
    schema:
      `CREATE TABLE t (id int PRIMARY KEY, n bigint); INSERT INTO t VALUES (1, 1), (2, 4294967296)`,
    change: `UPDATE t SET n = CASE id WHEN 1 THEN 4294967296 ELSE 1 END`,
    found: ["different id=1 n: 1 → 4294967296", "different id=2 n: 4294967296 → 1"],
  },
  {
    name: "a row that is missing, one too many, and one under another key",
    schema: `CREATE TABLE t (a int, b text, v int, PRIMARY KEY (a, b));
      INSERT INTO t SELECT i, 'k"' || i, i FROM generate_series(1, 50) AS i`,
    change: `DELETE FROM t WHERE a = 7; INSERT INTO t VALUES (7, 'k', 7), (99, '', 0)`,
    found: [
      'missing a=7 b=k"7 v: 7 → undefined',
      "extra a=7 b=k v: undefined → 7",
      "extra a=99 b= v: undefined → 0",
    ],
  },
];

Deno.test("verify() finds and describes every planted difference", async (test) => {
  const script = (of: "schema" | "change") =>
    cases.map((each, index) => `SET search_path = c${index}; ${each[of]};`).join("\n");
  const schemas = cases.map((_, index) => `CREATE SCHEMA c${index};`).join("\n");
  const report = await compared(`${schemas}\n${script("schema")}`, script("change"));
  strictEqual(report.verdict, "different");
  const tables = unequalTables(report);
  for (const [index, { name, found }] of cases.entries()) {
    await test.step(name, () => {
      const table = tables.find(({ schema }) => schema === `c${index}`);
      ok(table !== undefined, "not found");
      deepStrictEqual(differencesOf(table).toSorted(), found.toSorted());
    });
  }
});

Deno.test("verify() finds tables missing on one side, and rows of partitions", async () => {
  const report = await compared(
    `CREATE TABLE gone (id int); CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
     CREATE TABLE p_1 PARTITION OF p FOR VALUES FROM (1) TO (10);
     CREATE TABLE p_2 PARTITION OF p FOR VALUES FROM (10) TO (20);
     INSERT INTO p SELECT i, 'v' || i FROM generate_series(8, 11) AS i`,
    `DROP TABLE gone; CREATE TABLE extra (id int); DROP TABLE p_2`,
  );
  strictEqual(report.verdict, "different");
  deepStrictEqual(
    unequalTables(report).map((
      { name, reason, differences },
    ) => [name, reason, differences.length]),
    [
      ["gone", "the target has no such table", 0],
      ["extra", "the source has no such table", 0],
      ["p", undefined, 2],
    ],
  );
});

Deno.test("verify() finds tables equal regardless of partitioning, column order and server version", async () => {
  await withDatabase(source, undefined, async (from) => {
    await withDatabase(target, undefined, async (to) => {
      const rows =
        "INSERT INTO t (id, v, at) SELECT i, 'v' || i, now()::date + i FROM generate_series(1, 3000) AS i;";
      await exec(
        from.url,
        `CREATE TABLE t (id int, v text, gone int, at date, PRIMARY KEY (id)) PARTITION BY RANGE (id);
         CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (1000);
         CREATE TABLE t_2 PARTITION OF t FOR VALUES FROM (1000) TO (9999); ALTER TABLE t DROP COLUMN gone; ${rows}
         CREATE TABLE u (id int PRIMARY KEY, d int GENERATED ALWAYS AS (id * 2) STORED); INSERT INTO u VALUES (1)`,
      );
      await exec(
        to.url,
        `CREATE TABLE t (at date, v varchar, id bigint PRIMARY KEY); ${rows}
         CREATE TABLE u (id int, d int GENERATED ALWAYS AS (id * 2) STORED) PARTITION BY LIST (id);
         CREATE TABLE u_1 PARTITION OF u DEFAULT; INSERT INTO u VALUES (1)`,
      );
      const report = await runVerify(from.url, to.url);
      deepStrictEqual(unequalTables(report), []);
      strictEqual(report.rows, 3001);
    });
  });
});

Deno.test("verify() finds ten rows among many, with all kinds of keys and without a key", async () => {
  const rows = 24_000;
  const tables = [
    "id bigint PRIMARY KEY",
    "id numeric, k text, PRIMARY KEY (k, id)",
    'id text COLLATE "C" PRIMARY KEY',
    "id int, u uuid DEFAULT md5('x')::uuid, PRIMARY KEY (u, id)",
    "id int NOT NULL",
  ];
  const schema = tables.map((columns, index) =>
    `CREATE TABLE t${index} (${columns}, v text);
     INSERT INTO t${index} (id, ${index === 1 ? "k, " : ""}v)
     SELECT i, ${
      index === 1 ? "'k' || i % 3, " : ""
    }'value ' || i FROM generate_series(1, ${rows}) AS i;`
  ).join("\n");
  const planted = Array.from({ length: 10 }, (_, index) => 1 + index * 2_391);
  const report = await compared(
    schema,
    tables.map((_, index) =>
      `UPDATE t${index} SET v = v || '!' WHERE id::text IN (${planted.map((id) => `'${id}'`)})`
    ).join(";"),
    { maxDiffs: 100 },
  );
  for (const { name, differences, more } of unequalTables(report)) {
    strictEqual(more, false, name);
    strictEqual(differences.length, name === "t4" ? 20 : 10, name);
  }
  strictEqual(unequalTables(report).length, tables.length);
});

Deno.test("verify() finds rows in a table read in many chunks, including at chunk boundaries", async () => {
  const rows = 90_000;
  const planted = [1, 2, 5_000, 44_444, 44_445, rows];
  const report = await compared(
    `CREATE TABLE t (id bigint PRIMARY KEY, v text, pad text);
     ALTER TABLE t ALTER COLUMN pad SET STORAGE PLAIN;
     INSERT INTO t SELECT i, 'value ' || i, repeat('x', 800) FROM generate_series(1, ${rows}) AS i; ANALYZE t`,
    `UPDATE t SET v = v || '!' WHERE id IN (${planted}); DELETE FROM t WHERE id = 7; INSERT INTO t VALUES (0)`,
    { maxDiffs: 100 },
  );
  strictEqual(report.rows, rows);
  deepStrictEqual(
    unequalTables(report).flatMap(({ differences }) =>
      differences.map(({ kind, key }) => `${kind} ${key[0]?.value}`)
    ).toSorted(),
    [...planted.map((id) => `different ${id}`), "missing 7", "extra 0"].toSorted(),
  );
});

Deno.test("verify() lists at most --max-diffs rows, and withholds values on request", async () => {
  const schema =
    "CREATE TABLE t (id int PRIMARY KEY, secret text); INSERT INTO t SELECT i, 'secret ' || i FROM generate_series(1, 100) AS i";
  const report = await compared(
    schema,
    "UPDATE t SET secret = 'other'; DELETE FROM t WHERE id = 1",
    {
      maxDiffs: 3,
      showValues: false,
    },
  );
  const [table] = unequalTables(report);
  strictEqual(table?.differences.length, 3);
  strictEqual(table?.more, true);
  ok(!/secret \d|other/.test(JSON.stringify(report)));
  const none = await compared(schema, "DELETE FROM t WHERE id = 1", { maxDiffs: 0 });
  deepStrictEqual(unequalTables(none).map(({ more }) => more), [true]);
});

Deno.test("verify() compares the contents of large objects", async () => {
  const objects =
    `SELECT lo_from_bytea(71, decode(repeat('00ff', 300000), 'hex')), lo_from_bytea(72, 'same'),
    lo_create(73), lo_from_bytea(74, 'gone')`;
  const report = await compared(
    objects,
    "SELECT lo_put(71, 599999, '\\x00'), lo_put(73, 2, '\\x00'), lo_unlink(74), lo_create(75)",
  );
  const section = report.databases[0]?.sections.find(({ section }) => section === "large-objects");
  strictEqual(section?.verdict, "different");
  deepStrictEqual(section?.differences.map(({ object, message }) => `${object} ${message}`), [
    "large object 71 has different contents on the target",
    "large object 73 has 0 bytes on the source and 3 on the target",
    "large object 74 is missing on the target",
    "large object 75 is only on the target",
  ]);
  const holes = await compared(
    "SELECT lo_create(76), lo_put(76, 500000, 'end')",
    "SELECT lo_put(76, 0, decode(repeat('00', 500000), 'hex'))",
  );
  deepStrictEqual(
    holes.databases[0]?.sections.find(({ section }) => section === "large-objects")?.verdict,
    "equal",
  );
});

for (const encoding of ["UTF8", "SQL_ASCII"]) {
  Deno.test(`verify() compares comments on individual large objects (${encoding})`, async () => {
    const create =
      `SELECT lo_create(81), lo_create(82), lo_create(83), lo_create(84), lo_create(85);
      COMMENT ON LARGE OBJECT 81 IS 'same'; COMMENT ON LARGE OBJECT 82 IS ${
        encoding === "UTF8" ? "'é'" : String.raw`E'\xe9'`
      };
      COMMENT ON LARGE OBJECT 83 IS 'gone';`;
    const options = `TEMPLATE template0 ENCODING '${encoding}' LC_COLLATE 'C' LC_CTYPE 'C'`;
    await using one = await createDatabase(source, create, options);
    await using other = await createDatabase(target, create, options);
    const differences = async () => {
      const { databases } = await runVerify(one.url, other.url);
      const section = databases[0]?.sections.find((each) => each.section === "large-objects");
      return section?.differences.map(({ object, message }) => `${object} ${message}`);
    };
    deepStrictEqual(await differences(), []);
    await exec(
      other.url,
      `COMMENT ON LARGE OBJECT 82 IS 'e'; COMMENT ON LARGE OBJECT 83 IS NULL;
       COMMENT ON LARGE OBJECT 84 IS 'new'`,
    );
    deepStrictEqual(await differences(), [
      "large object 82 has a different comment on the target",
      "large object 83 has no comment on the target",
      "large object 84 has a comment only on the target",
    ]);
  });
}

Deno.test("verify() never reports an unreadable table as equal", async () => {
  await withDatabase(source, undefined, async (from) => {
    await withDatabase(target, undefined, async (to) => {
      const schema = "CREATE TABLE a (id int); CREATE TABLE b (id int); INSERT INTO a VALUES (1)";
      await exec(from.url, schema);
      await exec(
        to.url,
        `${schema}; DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN; GRANT SELECT ON b TO reader`,
      );
      const report = await runVerify(from.url, to.urlFor({ user: "reader" }));
      strictEqual(rowsVerdict(report), "unchecked");
      const [table, ...others] = unequalTables(report);
      deepStrictEqual([table?.name, table?.verdict, others], ["a", "unchecked", []]);
      match(table?.reason ?? "", /^target: permission denied/);
      await exec(to.url, "DROP OWNED BY reader; DROP ROLE reader");
    });
  });
});

Deno.test("verify() compares text by its characters when the encodings of the databases differ", async () => {
  await withDatabase(target, undefined, async (to) => {
    const name = `latin_${Deno.pid}`;
    await exec(
      source.url(),
      `CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'`,
    );
    try {
      const from = source.url({ database: name });
      const schema = `CREATE TYPE tone AS ENUM ('hell', 'düster');
        CREATE TABLE t (id text PRIMARY KEY, v varchar(20), c char(8), j jsonb, x xml, ts text[], e tone);
        INSERT INTO t SELECT 'ä' || i, 'é ' || i, 'ü', jsonb_build_object('ö', i), '<a>ß</a>', ARRAY['ñ'], 'düster'
          FROM generate_series(1, 300) AS i`;
      for (const url of [from, to.url]) await exec(url, schema);
      deepStrictEqual(unequalTables(await runVerify(from, to.url)), []);
      await exec(
        to.url,
        "UPDATE t SET v = 'è 7' WHERE id = 'ä7'; UPDATE t SET c = 'u' WHERE id = 'ä9'",
      );
      deepStrictEqual(unequalTables(await runVerify(from, to.url)).flatMap(differencesOf), [
        "different id=ä7 v: é 7 → è 7",
        "different id=ä9 c: ü → u",
      ]);
    } finally {
      await exec(source.url(), `DROP DATABASE ${name}`);
    }
  });
});

Deno.test("verify() compares rows of materialized views, and finds one that was never refreshed", async () => {
  const schema =
    `CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' FROM generate_series(1, 9) AS i;
    CREATE MATERIALIZED VIEW stale AS SELECT * FROM t; CREATE MATERIALIZED VIEW bare AS SELECT * FROM t;
    CREATE MATERIALIZED VIEW same AS SELECT * FROM t; CREATE MATERIALIZED VIEW none AS SELECT * FROM t WITH NO DATA`;
  const report = await compared(
    schema,
    `UPDATE t SET v = 'w' WHERE id = 3; REFRESH MATERIALIZED VIEW stale; UPDATE t SET v = 'v' WHERE id = 3;
     REFRESH MATERIALIZED VIEW bare WITH NO DATA`,
  );
  deepStrictEqual(
    unequalTables(report).map(({ name, kind, verdict, reason, differences }) => [
      name,
      kind,
      verdict,
      reason,
      differences.length,
    ]).toSorted(),
    [
      ["bare", "materialized view", "different", "it has never been refreshed on the target", 0],
    ],
  );
  deepStrictEqual(
    report.databases[0]?.tables.filter(({ kind }) => kind === "materialized view")
      .map(({ name, verdict }) => [name, verdict]).toSorted(),
    [["bare", "different"], ["same", "equal"]],
  );
});

Deno.test("a materialized view that was refreshed at another time is a note, not a difference", async () => {
  const schema =
    `CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' FROM generate_series(1, 9) AS i;
    CREATE MATERIALIZED VIEW stale AS SELECT * FROM t;`;
  const report = await compared(
    schema,
    `UPDATE t SET v = 'w' WHERE id = 3; REFRESH MATERIALIZED VIEW stale; UPDATE t SET v = 'v' WHERE id = 3`,
  );
  strictEqual(rowsVerdict(report), "equal");
  const note = report.notChecked.find(({ what }) => what === "rows of stale");
  strictEqual(note?.failed, false);
  match(note.reason, /2 rows of this materialized view differ, .* its own last REFRESH/);
});

Deno.test("verify() repairs differences, and can print the statements first", async () => {
  await withDatabase(source, undefined, async (from) => {
    await withDatabase(target, undefined, async (to) => {
      const schema = `
        CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text UNIQUE, d int GENERATED ALWAYS AS (length(v)) STORED, f float8, b bytea, c char(5));
        CREATE TABLE n (v text, w int); CREATE TABLE child (id int PRIMARY KEY, t int REFERENCES t ON DELETE CASCADE);
        INSERT INTO t (v, f, b, c) SELECT 'it''s \\ "' || i, i / 3.0, decode(md5(i::text), 'hex'), 'x' FROM generate_series(1, 50) AS i;
        INSERT INTO n SELECT 'x', NULL FROM generate_series(1, 5); INSERT INTO n VALUES (NULL, 1);
        INSERT INTO child SELECT i, i FROM generate_series(1, 50) AS i;
        CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.v := NEW.v || '?'; RETURN NEW; END $$;
        CREATE TRIGGER spoil BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION spoil();`;
      const view = "CREATE MATERIALIZED VIEW m AS SELECT count(*) AS rows FROM child;";
      await exec(from.url, `${schema} ${view}`);
      await exec(
        to.url,
        // the view is older than the rows of its table
        `${schema} DELETE FROM child WHERE id > 40; ${view}
         INSERT INTO child SELECT i, i FROM generate_series(41, 50) AS i;
         ALTER TABLE t DISABLE TRIGGER ALL; DELETE FROM t WHERE id = 3; UPDATE t SET v = 'other', f = NULL WHERE id = 4;
         INSERT INTO t (v) VALUES ('more'); DELETE FROM child WHERE id = 9; ALTER TABLE t ENABLE TRIGGER ALL;
         DELETE FROM n WHERE v IS NULL; INSERT INTO n VALUES ('x', NULL), ('y', 2)`,
      );
      const planned = await runVerify(from.url, to.url, { repair: "print" });
      strictEqual(planned.verdict, "different");
      strictEqual(planned.repair?.rows, 7, planned.repair?.statements.join("\n"));
      strictEqual(planned.repair?.applied, false);
      const again = await runVerify(from.url, to.url);
      strictEqual(again.verdict, "different");
      const repaired = await runVerify(from.url, to.url, { repair: "follow" });
      deepStrictEqual(unequalTables(repaired), []);
      strictEqual(repaired.repair?.rows, 7);
      strictEqual(rowsVerdict(await runVerify(from.url, to.url)), "equal");
      const sum = "SELECT count(*) AS n, sum(hashtext(t::text)) AS s FROM t";
      deepStrictEqual(await query(from.url, sum), await query(to.url, sum));
    });
  });
});

Deno.test("verify() rolls back a repair that a trigger alters, reports it, and repairs the other tables", async () => {
  const schema = `
    CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.v := NEW.v || '?'; RETURN NEW; END $$;
    CREATE TABLE spoilt (id int PRIMARY KEY, v text); CREATE TABLE other (id int PRIMARY KEY, v text);
    INSERT INTO spoilt SELECT i, 'v' FROM generate_series(1, 9) AS i; INSERT INTO other SELECT i, 'v' FROM generate_series(1, 9) AS i;
    CREATE TRIGGER spoil BEFORE INSERT OR UPDATE ON spoilt FOR EACH ROW EXECUTE FUNCTION spoil();`;
  const report = await compared(
    schema,
    `DELETE FROM spoilt WHERE id = 4; DELETE FROM other WHERE id = 5; ALTER TABLE spoilt ENABLE ALWAYS TRIGGER spoil`,
    { repair: "follow" },
    async ({ to }) => {
      deepStrictEqual(await query(to.url, "SELECT count(*)::int AS n FROM spoilt"), [{ n: 8 }]);
      deepStrictEqual(await query(to.url, "SELECT count(*)::int AS n FROM other"), [{ n: 9 }]);
    },
  );
  deepStrictEqual(
    unequalTables(report).map(({ name, reason, differences }) => [
      name,
      reason,
      differences.map(({ kind, key }) => `${kind} ${key[0]?.value}`),
    ]),
    [[
      "spoilt",
      "repair: 1 row still differed after the repair, which was rolled back",
      ["missing 4"],
    ]],
  );
  strictEqual(report.repair?.rows, 1);
});

Deno.test("verify() resumes an interrupted run without reading anything twice", async () => {
  await withDatabase(source, undefined, async (from) => {
    await withDatabase(target, undefined, async (to) => {
      const schema = `CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY);
        INSERT INTO a SELECT generate_series(1, 10000); INSERT INTO b VALUES (1)`;
      for (const { url } of [from, to]) await exec(url, `${schema}; ANALYZE`);
      await exec(to.url, "INSERT INTO b VALUES (2)");
      const lines: string[] = [];
      const now = () => new Date("2024-05-06T07:08:09Z");
      const journal = (text: string) =>
        new VerifyJournal({ text, append: (line) => lines.push(line), now });
      const first = await runVerify(from.url, to.url, { journal: journal(""), jobs: 1 });
      const found = (report: typeof first) => unequalTables(report).map(({ name }) => name);
      deepStrictEqual(found(first), ["b"]);
      // chunks recorded as equal are not read again; those that differed are, and a truncated line
      // is ignored
      await exec(to.url, "DELETE FROM a WHERE id = 7");
      const text = `${lines.join("")}{"kind":"chu`;
      const second = await runVerify(from.url, to.url, { journal: journal(text) });
      deepStrictEqual(found(second), ["b"]);
      const resumed = second.databases[0]?.tables.find(({ name }) => name === "a");
      deepStrictEqual(resumed?.resumed, { chunks: 1, since: "2024-05-06T07:08:09.000Z" });
      strictEqual(resumed?.sourceRows, 10_000);
      // the table's definition changed, so nothing recorded counts
      for (const { url } of [from, to]) await exec(url, "ALTER TABLE a ADD COLUMN v text");
      deepStrictEqual(
        found(await runVerify(from.url, to.url, { journal: journal(text) })).toSorted(),
        ["a", "b"],
      );
    });
  });
});

Deno.test("verify() compares only what the rules include, and lists what they exclude", async () => {
  const { rules } = readRuleFlags({
    includeTables: [],
    excludeTables: [],
    schemaOnlyTables: ["empty"],
    tableFilters: ["t:id <= 5"],
    timeFilters: ["e:at:1 day"],
  });
  const report = await compared(
    `CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' FROM generate_series(1, 9) AS i;
     CREATE TABLE empty (id int); INSERT INTO empty VALUES (1);
     CREATE TABLE e (id int PRIMARY KEY, at timestamptz); INSERT INTO e VALUES (1, '2000-01-01'), (2, '2100-01-01')`,
    "DELETE FROM t WHERE id > 5; DELETE FROM empty; DELETE FROM e WHERE id = 1; UPDATE t SET v = 'w' WHERE id = 4",
    { rules: { ...rules, now: "2024-06-01T00:00:00Z" } },
  );
  deepStrictEqual(unequalTables(report).flatMap(differencesOf), ["different id=4 v: v → w"]);
  deepStrictEqual(
    report.databases[0]?.tables.map(({ name, sourceRows }) => [name, sourceRows]).toSorted(),
    [["e", 1], ["t", 5]],
  );
  const left = report.notChecked.map(({ what }) => what);
  for (
    const what of [
      "rows of empty",
      "rows of t on the target that do not match the filter",
      "rows of e on the target that do not match the filter",
    ]
  ) ok(left.includes(what), left.join("\n"));
});
