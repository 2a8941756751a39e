/**
 * Values that a copy cannot preserve exactly, or that are matched by name: after init they compare
 * equal, and real differences are found.
 */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { withCase } from "../support/case.ts";
import { sharedCluster } from "../support/clusters.ts";
import { withDatabase } from "../support/databases.ts";
import { withRepeats } from "../support/long.ts";
import { exec, query } from "../support/sql.ts";
import { rowsVerdict, runVerify, unequalTables } from "../support/verify.ts";

const clusters = {
  12: await sharedCluster(12),
  15: await sharedCluster(15),
  18: await sharedCluster(18),
};
const pairs = withRepeats([[12, 18]], [[15, 18]]);

for (const [from, to] of pairs) {
  const [source, target] = [clusters[from], clusters[to]];
  for (const file of ["82-array-null-bitmap-left.sql", "86-nan-with-sign.sql"]) {
    Deno.test(`[${file.slice(0, 2)}] verify finds no differences after init from ${from} to ${to}`, async () => {
      await withCase(file, { source, target, rewrite: withSiblings }, async (it) => {
        await it.init();
        const report = await it.verify();
        deepStrictEqual(unequalTables(report), []);
        strictEqual(report.verdict, "equal");
      });
    });
  }

  Deno.test(`[lossy_cast] verify of ${from} against ${to} finds a thousand rows that a cast to text hides`, async () => {
    await withCase("security/lossy_cast.sql", { source, target }, async (it) => {
      await it.init();
      strictEqual((await it.verify()).verdict, "equal");
      await exec(it.targetUrl, "UPDATE orders SET a = ROW((a).value, 'USD')::amount, l = 'high'");
      const report = await it.verify({ maxDiffs: 5000 });
      strictEqual(report.verdict, "different");
      const { differences } = unequalTables(report)[0]!;
      strictEqual(differences.length, 1000);
      deepStrictEqual(differences[0]!.columns, [
        { column: "a", source: "(1,EUR)", target: "(1,USD)" },
        { column: "l", source: "low", target: "high" },
      ]);
      strictEqual(rowsVerdict(await it.verify({ repair: "follow" })), "equal");
      deepStrictEqual(
        await query(
          it.targetUrl,
          "SELECT count(*)::int AS n FROM orders WHERE (a).currency = 'EUR' AND l = 'low'::level",
        ),
        [{ n: 1000 }],
      );
    });
  });
}

/** Other values whose stored form contains more than their text. */
function withSiblings(script: string): string {
  return `${script}
    CREATE TYPE pair AS (a float8, b int[], p point);
    CREATE DOMAIN floats AS float8[];
    CREATE TABLE siblings (id int PRIMARY KEY, f4 float4, f4s float4[], fs floats, c pair, cs pair[], l lseg, x box,
      h path, g polygon, o circle, i line, ts timestamptz[], ns numeric[], t text[], m money[], n numeric, bs bytea[], js jsonb[]);
    INSERT INTO siblings
      SELECT 1, nan, ARRAY[nan, 1], ARRAY[nan, -0.0], ROW(nan, '{1,2}', point(nan, -0.0))::pair,
             ARRAY[ROW(nan, '{}', NULL)::pair, NULL], lseg(point(nan, 1), point(1, nan)), box(point(nan, 1), point(1, 2)),
             path(polygon(box(point(nan, 1), point(1, 2)))), polygon(box(point(nan, 1), point(1, 2))), circle(point(nan, 1), 2), NULL,
             '{2024-01-01 00:00Z,NULL,infinity}', '{NaN,1.0,1.00,0.000}', '[-1:1]={a,NULL,"NULL"}', '{1.5,NULL}', 'NaN', '{"\\\\x00",NULL}', '{"{\\"a\\": 1.0}"}'
        FROM (SELECT 'inf'::float8 - 'inf'::float8 AS nan) AS v;
    UPDATE siblings SET ts[2] = now(), t[0] = 'x', m[2] = 1, bs[2] = 'x', f4s[3] = NULL, fs[1] = fs[1];
    UPDATE siblings SET f4s[3] = 7, c.b[1] = NULL;
    UPDATE siblings SET c.b[1] = 1, cs[1].b = '{5,NULL}', t = t[0:1], ts = ts[1:2];
    UPDATE siblings SET cs[1].b[2] = 6;
    INSERT INTO siblings (id, f4s, t, cs) VALUES (2, '{}', ARRAY(SELECT 'a' WHERE false), '[5:6]={NULL,NULL}');
    CREATE TABLE keyed (f float8, a int[], PRIMARY KEY (f, a));
    INSERT INTO keyed VALUES ('inf'::float8 - 'inf'::float8, '{1,NULL}'), (-0.0, '{}');
    UPDATE keyed SET a[2] = 2 WHERE f = 'NaN';
    CREATE TABLE without (f float8[], p point);
    INSERT INTO without SELECT ARRAY['inf'::float8 - 'inf'::float8], point('inf'::float8 - 'inf'::float8, 0) FROM generate_series(1, 3);`;
}

const rowTypes = (one: string, inner: string) => `
  CREATE TYPE inner_type AS (${inner});
  CREATE DOMAIN inner_domain AS inner_type;
  CREATE TABLE one (${one});
  CREATE TABLE uses (id int PRIMARY KEY, r one, rs one[], d inner_domain, k one);
  CREATE TABLE bare (r one, ds inner_domain[]);
  CREATE TABLE keyed (r one PRIMARY KEY, v int);`;

/** Uses names, so that the statement does not depend on column order. */
const rowsOfTypes = `
  INSERT INTO one (a, b, c, l) SELECT 'a' || i, i, NULL, NULL FROM generate_series(1, 5) AS i;
  UPDATE one SET c.x = b, c.y = 'y, "' || a, l = '{}' WHERE b < 4;
  UPDATE one SET l[1].x = 1, l[2].y = 'NULL' WHERE b = 2;
  INSERT INTO uses (id, r, rs, d) SELECT b, one, ARRAY[one, NULL, one], c FROM one;
  UPDATE uses SET rs = NULL, k.a = '' WHERE id = 5;
  UPDATE uses SET rs = (SELECT ARRAY[ARRAY[one, one], ARRAY[NULL, one]] FROM one WHERE b = 1) WHERE id = 4;
  INSERT INTO uses (id, rs) SELECT 6, array_fill(one, ARRAY[2], ARRAY[0]) FROM one WHERE b = 2;
  INSERT INTO bare SELECT r, ARRAY[d, NULL] FROM uses;
  INSERT INTO keyed SELECT one, b FROM one WHERE b < 4;`;

for (const [from, to] of withRepeats([[12, 18]], [[15, 15], [18, 12]])) {
  Deno.test(`[24, 29] verify of ${from} against ${to} compares row types by the names of their attributes`, async () => {
    await withDatabase(clusters[from], undefined, async (source) => {
      await withDatabase(clusters[to], undefined, async (target) => {
        await exec(
          source.url,
          rowTypes(
            `a text, b int, gone int, c inner_type, l inner_type[]`,
            `x int, y text, z "char"`,
          ) +
            "ALTER TABLE one DROP COLUMN gone;" + rowsOfTypes,
        );
        await exec(
          target.url,
          rowTypes(`l inner_type[], c inner_type, b int, a text`, `y text, z "char", x int`) +
            rowsOfTypes,
        );
        deepStrictEqual(unequalTables(await runVerify(source.url, target.url)), []);

        await exec(
          target.url,
          `UPDATE uses SET r.b = 77 WHERE id = 1; UPDATE uses SET rs[1].c.y = 'z' WHERE id = 2;
           UPDATE uses SET d.x = NULL WHERE id = 3; UPDATE bare SET r.a = 'other' WHERE (r).b = 3;
           UPDATE keyed SET v = 7 WHERE (r).b = 1; DELETE FROM keyed WHERE (r).b = 3; DELETE FROM uses WHERE id IN (5, 6)`,
        );
        const report = await runVerify(source.url, target.url);
        deepStrictEqual(
          unequalTables(report).map(({ name, differences }) =>
            `${name} ${differences.map(({ kind, columns }) => `${kind} ${columns.length}`)}`
          ),
          [
            "bare missing 2,extra 2",
            "keyed different 1,missing 1",
            "uses different 1,different 1,different 1,missing 4,missing 4",
          ],
        );
        deepStrictEqual(
          unequalTables(await runVerify(source.url, target.url, { repair: "follow" })),
          [],
        );
        const check =
          "SELECT id, (r).a, (r).b, ((r).c).y, ((rs[1]).c).x, (d).y FROM uses ORDER BY id";
        deepStrictEqual(await query(source.url, check), await query(target.url, check));
      });
    });
  });
}

Deno.test("a row type that lacks an attribute on one side is different, and NULL is not a row of NULLs", async () => {
  await withDatabase(clusters[15], undefined, async (source) => {
    await withDatabase(clusters[18], undefined, async (target) => {
      const script = (attributes: string) =>
        `CREATE TYPE pair AS (${attributes}); CREATE TABLE t (id int PRIMARY KEY, p pair, ps pair[]);`;
      await exec(
        source.url,
        script("a int, b int") +
          "INSERT INTO t VALUES (1, ROW(1, NULL), NULL), (2, ROW(1, 2), NULL), (3, NULL, '{NULL}')",
      );
      await exec(
        target.url,
        script("b int, a int") +
          "INSERT INTO t VALUES (1, ROW(NULL, 1), NULL), (2, ROW(2, 1), NULL), (3, ROW(NULL, NULL), ARRAY[ROW(NULL, NULL)::pair])",
      );
      const found = async () =>
        unequalTables(await runVerify(source.url, target.url)).flatMap(({ differences }) =>
          differences.map(({ key, columns }) =>
            `${key[0]!.value}: ${
              columns.map(({ column, source, target }) => `${column} ${source} ${target}`)
            }`
          )
        );
      deepStrictEqual(await found(), ['3: p null (,),ps {NULL} {"(,)"}']);
      await exec(
        target.url,
        "UPDATE t SET p = NULL, ps = '{NULL}' WHERE id = 3; ALTER TYPE pair DROP ATTRIBUTE b",
      );
      deepStrictEqual(await found(), ["2: p (1,2) (1,)"]);
    });
  });
});
