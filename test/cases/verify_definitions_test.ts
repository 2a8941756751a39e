/**
 * Definitions after dump and restore: verify reports no differences, except real ones.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { VerifyReport } from "../../lib/commands/shared/verify_report.ts";
import { withCase } from "../support/case.ts";
import { sharedCluster } from "../support/clusters.ts";
import { withRepeats } from "../support/long.ts";
import { exec } from "../support/sql.ts";

const clusters = {
  12: await sharedCluster(12),
  15: await sharedCluster(15),
  18: await sharedCluster(18),
};
/** Additional servers of a version. */
const twins = {
  15: await sharedCluster(15, { settings: { max_connections: "50" } }),
  18: await sharedCluster(18, { settings: { max_connections: "50" } }),
};

const from14 = `
  CREATE FUNCTION atomic(a varchar, b int) RETURNS boolean LANGUAGE sql BEGIN ATOMIC
    SELECT a IN ('a', 'b') AND b BETWEEN 1 AND 5 AND EXISTS (SELECT 'x' FROM other WHERE other.name NOT IN ('q', 'r')); END;
  CREATE FUNCTION simple(a varchar) RETURNS boolean LANGUAGE sql RETURN a IN ('a', 'b') OR coalesce(nullif(a, ''), 'x') = 'x';
  CREATE STATISTICS se ON (s IN ('a', 'b')), (lower(s)), (coalesce(s, 'x')) FROM base;`;

const from15 = `
  CREATE TABLE newer (id int, s varchar(5), UNIQUE NULLS NOT DISTINCT (id, s));
  CREATE FUNCTION merges(a varchar) RETURNS void LANGUAGE sql BEGIN ATOMIC
    MERGE INTO newer USING (SELECT 1 AS i, 'x') AS src ON newer.id = src.i AND newer.s IN ('a', 'b')
      WHEN MATCHED AND newer.s NOT IN ('c', 'd') THEN UPDATE SET s = 'z' WHEN NOT MATCHED THEN INSERT VALUES (1, 'y');
    INSERT INTO newer SELECT id, CASE WHEN s IN ('a', 'b') THEN s ELSE 'x' END FROM newer ON CONFLICT (id, s) DO UPDATE SET s = excluded.s WHERE newer.s IN ('a', 'b') RETURNING id;
    DELETE FROM newer WHERE EXISTS (SELECT 'x' FROM newer n WHERE n.s IN ('a', 'b') AND n.id BETWEEN 1 AND 2 AND n.id > 0); END;`;
const from18 = `
  CREATE TABLE newest (id int4range, s varchar(5), during daterange, g varchar(9) GENERATED ALWAYS AS (CASE WHEN s IN ('a', 'b') THEN s ELSE 'x' END) VIRTUAL,
    PRIMARY KEY (id, during WITHOUT OVERLAPS), CHECK (s IN ('a', 'b')) NOT ENFORCED, CONSTRAINT nn NOT NULL s);
  CREATE VIEW json_view AS SELECT JSON_VALUE('{"a": 1}'::jsonb, '$.a' RETURNING int DEFAULT 0 ON EMPTY) AS v, s IS JSON AS j, JSON_OBJECT('k': s, 'l': 1) AS o,
    JSON_ARRAY(1, s) AS a, g FROM newest, JSON_TABLE('[]'::jsonb, '$[*]' COLUMNS (x int PATH '$.x', y text)) AS jt WHERE s IN ('a', 'b');`;

/** The differences in structure. */
function differencesOf(report: VerifyReport): readonly string[] {
  return report.databases.flatMap(({ sections }) =>
    sections.flatMap(({ differences }) =>
      differences.map(({ object, message }) => `${object}: ${message}`)
    )
  );
}

/** What could not be compared. */
function gaps(report: VerifyReport): readonly string[] {
  return report.notChecked.filter(({ reason }) => /differently/.test(reason)).map(({ what }) =>
    what
  );
}

/** A change on the target, and the object that must be reported. */
const changes: readonly (readonly [string, string])[] = [
  [
    "ALTER TABLE base DROP CONSTRAINT base_s_check, ADD CONSTRAINT base_s_check CHECK (s IN ('a', 'b', 'it''s', E'back\\\\slashes'))",
    "base_s_check of base",
  ],
  [
    "ALTER TABLE base DROP CONSTRAINT base_i_check, ADD CONSTRAINT base_i_check CHECK (i BETWEEN -5 AND 100 AND i <> 8)",
    "base_i_check of base",
  ],
  [
    "ALTER TABLE base DROP CONSTRAINT base_i_check1, ADD CONSTRAINT base_i_check1 CHECK (i BETWEEN 20 AND 30)",
    "base_i_check1 of base",
  ],
  ["ALTER TABLE base ALTER t SET DEFAULT 'now' || '2'", "column t of base"],
  [
    "CREATE OR REPLACE VIEW v01 AS SELECT s, t AS x, 'lit', 1 AS one, NULL AS nothing, s IN ('a', 'b') AS is_ab FROM base WHERE s IN ('a', 'b') AND (i BETWEEN 1 AND 5 OR t = 'x')",
    "view v01",
  ],
  [
    "CREATE OR REPLACE VIEW v05 AS SELECT * FROM (SELECT 1, 'a', t::varchar(10) FROM base) AS q (one, two, three) WHERE three IN ('a', 'b')",
    "view v05",
  ],
  [
    "CREATE OR REPLACE VIEW v15 AS SELECT 1 AS a WHERE (1 = 1 AND (2 = 2 OR 3 = 3)) OR ((4 = 4) AND (NOT (5 = 5 AND 6 = 6)))",
    "view v15",
  ],
  [
    "DROP POLICY p1 ON base; CREATE POLICY p1 ON base USING (s IN ('a', 'b') AND i BETWEEN 1 AND 5 AND NOT EXISTS (SELECT 'x' FROM other o WHERE o.id = base.id)) WITH CHECK (s NOT IN ('c', 'd') OR s = (SELECT 'v'))",
    "policy p1 of base",
  ],
  [
    "DROP TRIGGER tr2 ON base; CREATE CONSTRAINT TRIGGER tr2 AFTER INSERT ON base DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.s IN ('a', 'c')) EXECUTE FUNCTION fire()",
    "trigger tr2 of base",
  ],
  [
    "CREATE OR REPLACE RULE r1 AS ON UPDATE TO other WHERE NEW.name IN ('a', 'b') AND OLD.amount BETWEEN 1 AND 2 AND NEW.kind = 'k' DO ALSO INSERT INTO other (id, name) SELECT 1, 'x' WHERE EXISTS (SELECT 'y' WHERE false)",
    "rule r1 of other",
  ],
  [
    "ALTER DOMAIN short DROP CONSTRAINT short_check; ALTER DOMAIN short ADD CONSTRAINT short_check CHECK (VALUE IN ('x', 'y'))",
    "domain constraint short_check of short",
  ],
  [
    "CREATE OPERATOR !== (LEFTARG = pair, RIGHTARG = pair, FUNCTION = pair_eq, NEGATOR = ===)",
    "operator !==(public.pair, public.pair)",
  ],
  ["ALTER TABLE base ALTER s SET (n_distinct = 5)", "column s of base"],
];

const pairs = withRepeats([[12, 18], [18, 18]], [[12, 15], [15, 18], [15, 15]]);

for (const [from, to] of pairs) {
  const [source, other] = [clusters[from], clusters[to]];
  Deno.test(`[83, 84] definitions of ${from} are equal on ${to} after init, and changes there are found`, async () => {
    const target = source === other ? twins[to as 15 | 18] : other;
    const rewrite = (script: string) =>
      script + (from >= 14 ? from14 : "") + (from >= 15 ? from15 : "") + (from >= 18 ? from18 : "");
    await withCase("definitions.sql", { source, target, rewrite }, async (it) => {
      const { report } = await it.init();
      ok(report !== undefined);
      const first = await it.verify();
      deepStrictEqual(differencesOf(first), []);
      deepStrictEqual(gaps(first), []);
      strictEqual(first.verdict, "equal");
      for (const [statement] of changes) await exec(it.targetUrl, statement);
      const found = [...differencesOf(await it.verify())];
      for (const [, object] of changes) {
        ok(
          found.some((line) => line.includes(`${object}:`)),
          `not reported: ${object}\n${found.join("\n")}`,
        );
      }
      deepStrictEqual(
        found.filter((line) => !changes.some(([, object]) => line.includes(`${object}:`))),
        [],
      );
    });
  });
}

/** Names that are keywords in newer versions. */
const keywords = `
  CREATE FUNCTION g(int) RETURNS TABLE (json int, system_user text) LANGUAGE sql AS 'SELECT 1, NULL::text';
  CREATE TABLE json_table (system_user int, json_scalar text CHECK (json_scalar IN ('a', 'b')));
  CREATE TABLE child () INHERITS (json_table);
  CREATE VIEW merge_action AS SELECT j.system_user AS json FROM json_table j;`;

for (
  const file of [
    "83-check-in-varchar.sql",
    "84-shell-operator.sql",
    "85-argument-named-json-15-to-18.sql",
  ]
) {
  Deno.test(`[${file.slice(0, 2)}] verify finds no differences after init`, async () => {
    const rewrite = (script: string) => script + keywords;
    await withCase(file, { source: clusters[15], target: clusters[18], rewrite }, async (it) => {
      await it.init();
      strictEqual((await it.verify()).verdict, "equal");
    });
  });
}
