/**
 * Objects of every kind named after every keyword of any version, copied between versions.
 */
import { deepStrictEqual as equal } from "node:assert/strict";
import type { Cluster } from "../../lib/cluster/mod.ts";
import { sharedCluster } from "../support/clusters.ts";
import { createDatabase } from "../support/databases.ts";
import { installedClient } from "../support/installed.ts";
import { runInit } from "../support/init.ts";
import { compareDatabases } from "../support/compare.ts";
import { withRepeats } from "../support/long.ts";
import { exec, query } from "../support/sql.ts";

const newest = await sharedCluster(18);

/** Objects named `word`; `sqlBodies` requires 14. */
function objectsNamed(word: string, sqlBodies: boolean): string {
  const k = `"${word}"`;
  return `
    CREATE SCHEMA ${k};
    CREATE TYPE s_types.${k} AS (${k} integer, "end" text);
    CREATE TYPE s_enums.${k} AS ENUM ('${word}', ';');
    CREATE DOMAIN ${k}.${k} AS integer DEFAULT 1 CONSTRAINT ${k} CHECK (VALUE > 0);
    CREATE TABLE s_tables.${k} (${k} integer PRIMARY KEY, "begin" text DEFAULT 'a;', "atomic" ${k}.${k},
      CONSTRAINT ${k} CHECK (${k} > 0 OR "begin" = ';'), g integer GENERATED ALWAYS AS (${k} + 1) STORED);
    CREATE INDEX "${word}_index" ON s_tables.${k} ((${k} + 1), "begin") WHERE ${k} > 5;
    INSERT INTO s_tables.${k} VALUES (1, 'x', 2);
    CREATE VIEW s_views.${k} AS SELECT ${k}.${k} AS ${k}, CASE WHEN ${k}."begin" = 'end' THEN 1 END AS "case"
      FROM s_tables.${k} AS ${k} WHERE ${k}.${k} > 0;
    CREATE FUNCTION s_functions.${k}(${k} integer, "atomic" s_types.${k}, OUT "case" s_types.${k}) LANGUAGE plpgsql
      AS $$ begin "case" := "atomic"; end $$;
    CREATE FUNCTION s_procedures.${k}("begin" s_enums.${k} DEFAULT ';') RETURNS ${k}.${k} LANGUAGE sql AS 'SELECT 1; SELECT 1::${k}.${k}';
    CREATE PROCEDURE s_procedures.${k}(${k} s_types.${k}) LANGUAGE plpgsql AS 'begin null; end';
    CREATE AGGREGATE s_functions.${k}(integer) (SFUNC = pg_catalog.int4pl, STYPE = integer);
    CREATE TRIGGER ${k} BEFORE UPDATE OF ${k} ON s_tables.${k} FOR EACH ROW WHEN (NEW.${k} > 0) EXECUTE FUNCTION public.begin();
    CREATE POLICY ${k} ON s_tables.${k} USING (${k} > 0);
    CREATE RULE ${k} AS ON INSERT TO s_views.${k} DO INSTEAD (
      INSERT INTO s_tables.${k} (${k}) VALUES (NEW.${k}); UPDATE s_tables.${k} SET ${k} = 1 WHERE ${k}.${k} = NEW.${k});
    CREATE SEQUENCE s_sequences.${k};
    CREATE STATISTICS s_sequences."${word}_statistics" ON ${k}, "begin" FROM s_tables.${k};
    CREATE COLLATION s_functions.${k} (LOCALE = 'C');
    CREATE TEXT SEARCH DICTIONARY s_functions.${k} (TEMPLATE = simple);
    CREATE FUNCTION ${k}.same(s_types.${k}, s_types.${k}) RETURNS integer LANGUAGE sql AS 'SELECT 1';
    CREATE OPERATOR ${k}.@@@ (LEFTARG = s_types.${k}, RIGHTARG = s_types.${k}, FUNCTION = ${k}.same);
    COMMENT ON COLUMN s_tables.${k}.${k} IS '; begin';
    COMMENT ON FUNCTION s_functions.${k}(integer, s_types.${k}) IS '${word}';
    GRANT SELECT (${k}) ON s_tables.${k} TO PUBLIC;` + (sqlBodies
    ? `
    CREATE FUNCTION s_bodies.${k}(${k} integer) RETURNS TABLE ("end" integer) LANGUAGE sql BEGIN ATOMIC
      WITH ${k} AS (SELECT CASE WHEN 1 = $1 THEN CASE WHEN 2 = $1 THEN 3 END END AS ${k})
        SELECT ${k}.${k} AS "end" FROM ${k};
      SELECT ${k}.${k} AS "case" FROM s_tables.${k} AS ${k} ORDER BY CASE WHEN ${k}."begin" = ';' THEN 1 ELSE 2 END;
      END;
    CREATE PROCEDURE s_bodies."${word}_procedure"(INOUT ${k} integer) BEGIN ATOMIC
      INSERT INTO s_tables.${k} (${k}) VALUES (7); SELECT 1; END;
    CREATE FUNCTION s_bodies."${word}_return"(${k} integer) RETURNS integer RETURN CASE WHEN ${k} > 1 THEN 2 END;`
    : "");
}

const common = `
  CREATE SCHEMA s_types; CREATE SCHEMA s_enums; CREATE SCHEMA s_tables; CREATE SCHEMA s_views; CREATE SCHEMA s_functions;
  CREATE SCHEMA s_procedures; CREATE SCHEMA s_sequences; CREATE SCHEMA s_bodies;
  CREATE SCHEMA "begin"; CREATE TYPE "begin"."atomic" AS ("begin" integer);
  CREATE FUNCTION "begin"."begin"("begin" "begin"."atomic") RETURNS "begin"."atomic" LANGUAGE sql AS 'SELECT $1;';
  CREATE FUNCTION "begin"."end"("begin" integer) RETURNS integer LANGUAGE plpgsql AS 'begin return 1; end';
  CREATE FUNCTION public.begin() RETURNS trigger LANGUAGE plpgsql AS 'begin return new; end';`;

/**
 * Keywords that differ between the versions, also in category, and one of each category.
 */
async function words(clusters: readonly Cluster[]): Promise<readonly string[]> {
  const lists = await Promise.all(
    clusters.map((cluster) =>
      query<{ word: string; kind: string }>(
        cluster.url(),
        "SELECT word, catcode AS kind FROM pg_catalog.pg_get_keywords()",
      )
    ),
  );
  const seen = Map.groupBy(lists.flat(), ({ word, kind }) => `${word} ${kind}`);
  const differing = [...seen.values()].filter((same) => same.length < clusters.length)
    .map(([first]) => first!.word);
  // these are used as other names
  return [...new Set([...differing, "between", "left", "index", "select", "owner", "set"])]
    .filter((word) => !["begin", "atomic", "end", "case"].includes(word));
}

/** Makes versions with different keywords print names alike. */
const quoted = { params: { quote_all_identifiers: "on" } };

const native = ((await installedClient())?.major ?? 0) >= 15;
const runs = withRepeats(
  [[12, 15, "native"], [15, 18, "embedded"]],
  [[17, 18, "embedded"]],
);
for (const [from, to, dump] of runs) {
  if (dump === "native" && !native) continue;
  const [source, target] = [await sharedCluster(from), await sharedCluster(to)];
  Deno.test(`objects named after keywords are copied from ${from} to ${to} with the ${dump} pg_dump`, async () => {
    await using one = await createDatabase(source, common);
    for (const word of await words([source, newest])) {
      await exec(one.url, objectsNamed(word, from >= 14));
    }
    await using other = await createDatabase(target, "");
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
    equal(await compareDatabases(one.urlFor(quoted), other.urlFor(quoted)), []);
  });
}
