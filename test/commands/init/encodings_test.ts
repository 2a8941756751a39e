/** Databases with encodings other than UTF-8, including SQL_ASCII. */
import { deepStrictEqual as equal, ok as assert, rejects } from "node:assert/strict";
import { sharedCluster } from "../../support/clusters.ts";
import { createDatabase, dropDatabase } from "../../support/databases.ts";
import { installedClient } from "../../support/installed.ts";
import { runInit } from "../../support/init.ts";
import { withRepeats } from "../../support/long.ts";
import { rowsVerdict, runVerify } from "../../support/verify.ts";
import { ExitCode, ReplicatorError } from "../../../lib/core/internal.ts";
import { readPlanningHazards, readSearchPathUse } from "../../../lib/catalog/internal.ts";
import { openSession, resolveEndpoint } from "../../../lib/postgres/internal.ts";
import { readChangedSince, readVisibility } from "../../../lib/verify/live/changed_since.ts";
import { pairColumns } from "../../../lib/verify/plan/columns.ts";
import { planComparisons } from "../../../lib/verify/plan/plan_comparisons.ts";
import { readRelations } from "../../../lib/verify/plan/relations.ts";
import type { VerifyReport } from "../../../lib/commands/shared/verify_report.ts";
import { exec, query } from "../../support/sql.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);
const script = await Deno.readTextFile(new URL("../../cases/63-encodings.sql", import.meta.url));

/** The text `x`, in the database's encoding, everywhere a schema can contain text. */
const everywhere = (x: string) => `
  CREATE TYPE mood AS ENUM (E'${x}', 'b');
  CREATE DOMAIN d AS text DEFAULT E'${x}' CHECK (VALUE <> E'no${x}');
  CREATE TABLE e (id serial PRIMARY KEY, v text DEFAULT E'${x}', m mood DEFAULT E'${x}', d d, CHECK (v <> E'not${x}'),
    g text GENERATED ALWAYS AS (v || E'${x}') STORED);
  INSERT INTO e (d) VALUES (E'${x}${x}');
  CREATE INDEX ON e ((v || E'${x}')) WHERE v <> E'or${x}';
  CREATE VIEW w AS SELECT v || E'${x}' AS w FROM e;
  CREATE MATERIALIZED VIEW mw AS SELECT v || E'${x}' AS w FROM e;
  CREATE FUNCTION tr() RETURNS trigger LANGUAGE plpgsql AS E'BEGIN -- ${x}\\n RETURN NEW; END';
  CREATE TRIGGER tr BEFORE UPDATE ON e FOR EACH ROW EXECUTE FUNCTION tr(E'${x}');
  CREATE FUNCTION same(text) RETURNS text LANGUAGE sql AS E'SELECT ''1${x}''::text';
  CREATE FUNCTION same(integer) RETURNS text LANGUAGE sql AS E'SELECT ''2${x}''::text';
  COMMENT ON COLUMN e.v IS E'${x}';`;

/** All these texts, in hexadecimal. */
const bytes = `
  SELECT what, encode(convert_to(value, getdatabaseencoding()), 'hex') AS bytes FROM (
    SELECT 'row ' || id AS what, v || a::text AS value FROM t UNION ALL
    SELECT 'function ' || proname || pronargs, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace UNION ALL
    SELECT 'comment ' || objsubid, description FROM pg_description WHERE objoid IN ('t'::regclass, to_regclass('e')) UNION ALL
    SELECT 'default ' || adnum, pg_get_expr(adbin, adrelid) FROM pg_attrdef UNION ALL
    SELECT 'constraint ' || conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c' AND oid >= 16384 UNION ALL
    SELECT 'index ' || indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index WHERE indexrelid >= 16384 AND indrelid IN ('t'::regclass, 'e'::regclass) UNION ALL
    SELECT 'label ' || enumsortorder, enumlabel::text FROM pg_enum UNION ALL
    SELECT 'trigger', encode(tgargs, 'hex') FROM pg_trigger UNION ALL
    SELECT 'view', w FROM w UNION ALL SELECT 'materialized view', w FROM mw
  ) AS texts ORDER BY what, bytes`;

const native = ((await installedClient())?.major ?? 0) >= 18 ? ["native"] as const : [];

const encodings = withRepeats(
  [
    ["SQL_ASCII", String.raw`\xc3\xa9 \xe9`],
    ["WIN1252", String.raw`\x81`], // which Unicode lacks
    ["EUC_JP", String.raw`\xc6\xfc\x8e\xb1`],
  ],
  [
    ["SQL_ASCII", String.raw`\xe9\x81\xff`],
    ["LATIN1", String.raw`\xe9\xc3\xa9`],
    ["WIN1252", String.raw`\x80\xe9`],
  ],
);

for (const [encoding, text] of encodings) {
  for (const dump of ["embedded", ...native] as const) {
    Deno.test(`a database in ${encoding} with ${text} is copied byte for byte with the ${dump} pg_dump`, async () => {
      const options = `TEMPLATE template0 ENCODING '${encoding}' LC_COLLATE 'C' LC_CTYPE 'C'`;
      const own = encoding === "EUC_JP" ? script.replaceAll(/\\x[ef][0-9a-f]/g, text) : script;
      await using one = await createDatabase(source, own + everywhere(text), options);
      await using other = await createDatabase(target, "", options);
      const { events } = await runInit(one.url, other.url, {
        include: [one.name],
        map: { [one.name]: other.name },
        tools: {
          dump,
          binDirectory: undefined,
          environment: { PATH: Deno.env.get("PATH"), HOME: Deno.env.get("HOME") },
        },
      });
      equal(
        events.filter((event) => event.kind === "warning" && event.object !== "role postgres"),
        [],
      );
      equal(await query(other.url, bytes), await query(one.url, bytes));
      const report = await runVerify(one.url, other.url);
      equal([report.verdict, differences(report)], ["equal", []]);
    });
  }
}

/** The differences in a report: objects and rows with their values. */
function differences({ databases }: VerifyReport): readonly unknown[] {
  return databases.flatMap(({ sections, tables }) => [
    ...sections.flatMap((section) =>
      section.differences.map(({ object, property, source, target }) => [
        `${object}: ${property}`,
        source,
        target,
      ])
    ),
    ...tables.flatMap((table) => [
      ...table.reason === undefined ? [] : [[table.name, table.reason]],
      ...table.differences.map(({ kind, key, columns }) => [
        `${table.name} ${key.map(({ value }) => value)}: ${kind}`,
        ...columns.map(({ column, source, target }) => [column, source, target]),
      ]),
    ]),
  ]);
}

const keyed = (x: string) => `
  CREATE TABLE k (k text COLLATE "C" PRIMARY KEY, v text, x xml, j json, b character(4), n name, a text[]);
  INSERT INTO k SELECT E'${x}' || i, 'v', '<a/>', '{}', 'b', 'n', '{}' FROM generate_series(1, 9000) AS i;
  INSERT INTO k VALUES (E'${x}\\\\''', E'\\\\${x}''', '<a/>', E'"${x}"', E'${x}', E'${x}', ARRAY[E'${x}']);
  CREATE FUNCTION g(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS E'BEGIN RETURN $1 || ''${x}''; END';
  CREATE INDEX i ON k (g(v));
  CREATE TABLE twice (v text);
  INSERT INTO twice VALUES (E'${x}'), (E'${x}'), ('a');
  ANALYZE;`;

const plantedStructure = (y: string) => `
  CREATE OR REPLACE FUNCTION f() RETURNS text LANGUAGE sql AS E'SELECT ''${y}''::text';
  COMMENT ON TABLE t IS E'${y}';
  ALTER TABLE t ALTER v SET DEFAULT E'${y}';`;

const plantedRows = (x: string, y: string) => `
  UPDATE k SET v = E'${y}' WHERE k = E'${x}7';
  UPDATE k SET j = E'["${y}"]', b = E'${y}', n = E'${y}', a = ARRAY[E'${y}'] WHERE k = E'${x}\\\\''';
  DELETE FROM k WHERE k = E'${x}8';
  INSERT INTO k (k) VALUES (E'${y}');
  DELETE FROM twice WHERE v <> 'a';
  INSERT INTO twice VALUES (E'${y}');`;

/**
 * The differences that a report must list; `x` and `y` are the texts as the report displays them.
 */
const plantedDifferences = (
  [x, y, accents]: readonly [string, string, readonly [string, string]],
) => [
  ["table t: comment", `r${accents[0]}sum${accents[0]}`, y],
  ["column v of t: default", undefined, `'${y}'::text`],
  ["function f(): body", `SELECT 'na${accents[1]}ve'::text`, `SELECT '${y}'::text`],
  [`k ${x}7: different`, ["v", "v", y]],
  [
    `k ${x}8: missing`,
    ...[["v", "v"], ["x", "<a/>"], ["j", "{}"], ["b", "b"], ["n", "n"], ["a", "{}"]]
      .map(([column, value]) => [column, value, undefined]),
  ],
  [
    `k ${x}\\': different`,
    ["j", `"${x}"`, `["${y}"]`],
    ["b", x, y],
    ["n", x, y],
    ["a", `{${x}}`, `{${y}}`],
  ],
  [`k ${y}: extra`, ...[..."vxjbna"].map((column) => [column, undefined, null])],
  ["twice : missing", ["v", x, undefined]],
  ["twice : extra", ["v", undefined, y]],
];

const shownBytes = [String.raw`\xe9`, String.raw`\xef`] as const;

for (
  const { encoding, x, y, shown } of withRepeats(
    [
      {
        encoding: "SQL_ASCII",
        x: String.raw`\xe9`,
        y: String.raw`\xea`,
        shown: [String.raw`\xe9`, String.raw`\xea`, shownBytes],
      },
      {
        encoding: "WIN1252",
        x: String.raw`\x81`, // which Unicode lacks
        y: String.raw`\xc3\xa9\x8d`, // in UTF-8 this would be something else
        shown: [String.raw`\x81`, String.raw`\xc3\xa9\x8d`, shownBytes],
      },
    ],
    [
      {
        encoding: "LATIN1",
        x: String.raw`\xe9`,
        y: String.raw`\xc3\xa9`,
        shown: ["é", "Ã©", ["é", "ï"]],
      },
    ],
  )
) {
  Deno.test(`[63] verify of databases in ${encoding} shows how ${x} differs, and repairs it`, async () => {
    const options = `TEMPLATE template0 ENCODING '${encoding}' LC_COLLATE 'C' LC_CTYPE 'C'`;
    await using one = await createDatabase(source, script + keyed(x), options);
    await using other = await createDatabase(target, "", options);
    await runInit(one.url, other.url, { include: [one.name], map: { [one.name]: other.name } });
    const report = await runVerify(one.url, other.url);
    equal([report.verdict, differences(report)], ["equal", []]);

    await exec(other.url, plantedStructure(y) + plantedRows(x, y));
    const found = await runVerify(one.url, other.url, { repair: "print" });
    equal(sorted(differences(found)), sorted(plantedDifferences(shown)));
    await exec(other.url, found.repair!.statements.join(";\n"));
    equal(rowsVerdict(await runVerify(one.url, other.url)), "equal");

    await exec(other.url, plantedRows(x, y));
    equal(rowsVerdict(await runVerify(one.url, other.url)), "different");
    await runVerify(one.url, other.url, { repair: "follow" });
    equal(rowsVerdict(await runVerify(one.url, other.url)), "equal");
    const rows = `
      SELECT encode(convert_to(concat_ws('|', k, v, x, j, b, n, a), getdatabaseencoding()), 'hex') AS bytes
        FROM k ORDER BY k`;
    equal(await query(other.url, rows), await query(one.url, rows));
  });
}

function sorted(found: readonly unknown[]): readonly string[] {
  return found.map((each) => JSON.stringify(each)).sort();
}

Deno.test("[63] names that are not valid UTF-8 are refused with their count", async () => {
  await using one = await createDatabase(
    source,
    String.raw`CREATE TABLE t (id int); CREATE SCHEMA s;
      DO $do$ BEGIN
        EXECUTE E'CREATE TABLE s."na\xefve" (id int, "caf\xe9" text)';
        EXECUTE E'CREATE TABLE "r\xc3\xa9sum\xc3\xa9" (id int)';
      END $do$;`,
    "TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'",
  );
  await using other = await createDatabase(target, "");
  const refusal = (error: unknown) => {
    assert(error instanceof ReplicatorError);
    equal(
      [error.exitCode, error.side, error.object],
      [
        ExitCode.prerequisite,
        "source",
        `database ${one.name}: 2 names (table ${String.raw`na\xefve, column caf\xe9`})`,
      ],
    );
    return true;
  };
  const only = { include: [one.name], map: { [one.name]: other.name } };
  await rejects(runInit(one.url, other.url, only), refusal);
  await rejects(runVerify(one.url, other.url), refusal);
});

const inAnyBytes = "TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'";
/** `$` stands for a name that is not valid UTF-8. */
const inBytes = (script: string) =>
  `DO $do$ BEGIN EXECUTE E'${
    script.replaceAll("'", "''").replaceAll("$", String.raw`"na\xefve"`)
  }'; END $do$`;

const refusedNames: Readonly<Record<string, readonly [script: string, undo?: string]>> = {
  "type": ["CREATE TYPE $ AS ENUM ('a'); CREATE TABLE t (a $[])"],
  "attribute": ["CREATE TYPE c AS ($ int); CREATE TABLE t (a c)"],
  "sequence": ["CREATE SEQUENCE $"],
  "schema": ["CREATE SCHEMA $; CREATE TABLE $.t (a int)"],
  "event trigger": [
    "CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; " +
    "CREATE EVENT TRIGGER $ ON ddl_command_end EXECUTE FUNCTION f()",
  ],
  "publication": ["CREATE PUBLICATION $"],
  "role": [
    "CREATE ROLE $; CREATE TABLE t (a int); ALTER TABLE t OWNER TO $",
    "DROP OWNED BY $; DROP ROLE $",
  ],
};

for (const [kind, [script, undo]] of Object.entries(refusedNames)) {
  Deno.test(`[63] names that are not valid UTF-8 are refused before anything is changed: ${kind}`, async () => {
    await using one = await createDatabase(source, inBytes(script), inAnyBytes);
    await using other = await createDatabase(target, "");
    const only = { include: [one.name], map: { [one.name]: other.name } };
    try {
      await rejects(runInit(one.url, other.url, only), (error: unknown) => {
        assert(error instanceof ReplicatorError);
        equal([error.exitCode, error.side], [ExitCode.prerequisite, "source"]);
        assert(
          error.object?.endsWith(String.raw`1 name (${kind} na\xefve)`),
          `${error.message}: ${error.object}`,
        );
        return true;
      });
      equal(
        await query(other.url, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'seren%'"),
        [],
      );
    } finally {
      if (undo !== undefined) await exec(one.url, inBytes(undo));
    }
  });
}

Deno.test("[63] names that occur only in statements passed between servers can contain any bytes", async () => {
  const script =
    `CREATE DOMAIN $ AS int; CREATE SCHEMA $; CREATE FUNCTION $.$($ int) RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE VIEW $.$ AS SELECT 1 AS $; CREATE TABLE t (a int CONSTRAINT $ CHECK (a > 0), b int);
    CREATE INDEX $ ON t (a); CREATE POLICY $ ON t; CREATE STATISTICS $ ON a, b FROM t; INSERT INTO t VALUES (1, 2)`;
  await using one = await createDatabase(source, inBytes(script), inAnyBytes);
  const name = `${one.name}_copy`;
  try {
    await runInit(one.url, target.url(), { include: [one.name], map: { [one.name]: name } });
    const report = await runVerify(one.url, target.url({ database: name }));
    equal(report.verdict, "equal");
  } finally {
    await dropDatabase(target, name);
  }
});

Deno.test("[63] verify of a database in SQL_ASCII against one in UTF8 compares the text that both can represent", async () => {
  await using one = await createDatabase(
    source,
    String.raw`CREATE TABLE k (k text COLLATE "C" PRIMARY KEY, v text, j json);
      INSERT INTO k VALUES (E'\xc3\xa9', E'\xc3\xa8', '{}'), ('b', E'\xc3\xa8', E'"\xc3\xa8"');
      COMMENT ON TABLE k IS E'\xc3\xa9';`,
    "TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'",
  );
  await using other = await createDatabase(
    target,
    "",
    "TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'",
  );
  await runInit(one.url, other.url, { include: [one.name], map: { [one.name]: other.name } });
  const report = await runVerify(one.url, other.url);
  equal(differences(report).filter((each) => !String(each).startsWith("the database")), []);
  equal(rowsVerdict(report), "equal");
  await exec(other.url, "UPDATE k SET v = 'è!' WHERE k = 'é'; COMMENT ON TABLE k IS 'è'");
  const found = await runVerify(one.url, other.url, { repair: "follow" });
  equal(found.repair?.rows, 1);
  equal(
    differences(found).filter((each) => String(each).startsWith("table")),
    [["table k: comment", "é", "è"]],
  );
  equal(rowsVerdict(await runVerify(one.url, other.url)), "equal");
});

Deno.test("[63] changed rows are listed by keys that contain any bytes", async () => {
  await using one = await createDatabase(
    source,
    String.raw`CREATE TABLE k (k text PRIMARY KEY, v text);
      INSERT INTO k SELECT E'\xe9' || i, 'v' FROM generate_series(1, 6000) AS i`,
    "TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'",
  );
  await using session = await openSession(await resolveEndpoint(one.url, { side: "source" }));
  const [relation] = await readRelations(session);
  const options = { sameEncoding: true, isConverted: true };
  const { columns } = pairColumns({ source: relation!, target: relation! }, options);
  const [comparison] = planComparisons({
    source: [relation!],
    target: [relation!],
    decide: () => ({ outcome: "copied" }) as never,
    leftOut: new Set(),
    live: true,
    encodings: { source: "SQL_ASCII", target: "SQL_ASCII" },
  }).comparisons;
  equal(comparison!.columns, columns);
  const since = await readVisibility(session);
  await exec(one.url, String.raw`UPDATE k SET v = E'\xff' WHERE k = E'\xe97'`);
  const now = await readVisibility(session);
  const changed = await Array.fromAsync(
    readChangedSince(session, { comparison: comparison!, method: "hash", since, now }),
  );
  equal(changed, [[JSON.stringify(["\udce97"])]]);
});

Deno.test("[63] functions whose bodies contain any bytes are analyzed for the names they use and what they compute", async () => {
  await using one = await createDatabase(
    source,
    String.raw`CREATE TABLE names (v text);
      CREATE FUNCTION first(int) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
        E'BEGIN RETURN (SELECT v || ''\xe9'' FROM names LIMIT 1); END';
      CREATE TABLE t (id int, CHECK (first(id) IS NULL));
      CREATE INDEX planned ON t (id) WHERE first(0) IS NULL;`,
    "TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'",
  );
  await using session = await openSession(await resolveEndpoint(one.url, { side: "source" }));
  equal((await readSearchPathUse(session)).length, 2);
  equal([...(await readPlanningHazards(session)).values()], [
    "index planned calls first with constants",
  ]);
});
