/** Databases in other encodings than UTF-8, and in none. */
import { deepStrictEqual as equal } from "node:assert/strict";
import { sharedCluster } from "./support/clusters.ts";
import { createDatabase } from "./support/databases.ts";
import { installedClient } from "./support/installed.ts";
import { runInit } from "./support/init.ts";
import { runVerify } from "./support/verify.ts";
import { query } from "./support/sql.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);
const script = await Deno.readTextFile(new URL("cases/63-encodings.sql", import.meta.url));

/** Bytes in everything that a schema has texts in: `x` is a text of the encoding. */
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

/** Everything with such bytes, in hexadecimal. */
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

const encodings = [
  ["SQL_ASCII", String.raw`\xe9\x81\xff`],
  ["SQL_ASCII", String.raw`\xc3\xa9 \xe9`],
  ["LATIN1", String.raw`\xe9\xc3\xa9`],
  ["WIN1252", String.raw`\x80\xe9`],
  ["WIN1252", String.raw`\x81`], // which Unicode lacks
  ["EUC_JP", String.raw`\xc6\xfc\x8e\xb1`],
] as const;

for (const [encoding, text] of encodings) {
  const convertible = encoding !== "SQL_ASCII" && text !== String.raw`\x81`;
  for (const dump of ["embedded", ...native] as const) {
    Deno.test(`a database in ${encoding} with ${text} comes byte for byte by the ${dump} pg_dump`, async () => {
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
      if (convertible) equal((await runVerify(one.url, other.url)).verdict, "equal");
    });
  }
}
