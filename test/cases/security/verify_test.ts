/**
 * verify runs no user-defined code: neither between equal servers, nor where they differ, nor when
 * it prints the statements of a repair.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { sharedCluster } from "../../support/clusters.ts";
import { withDatabase } from "../../support/databases.ts";
import { withRepeats } from "../../support/long.ts";
import { exec } from "../../support/sql.ts";
import { rowsVerdict, runVerify, unequalTables } from "../../support/verify.ts";

const clusters = {
  12: await sharedCluster(12),
  15: await sharedCluster(15),
  18: await sharedCluster(18),
};

const traps = await Deno.readTextFile(new URL("traps.sql", import.meta.url));

/** The script for a server. Code that its own statements trigger does not count. */
function scriptFor(majors: readonly number[], directory: string): string {
  const virtual = majors.every((each) => each >= 18)
    ? ", g int GENERATED ALWAYS AS (pg_catalog.int4pl(1, id)) VIRTUAL"
    : "";
  return `SET seren.trap = off; ${
    traps.replaceAll("DIRECTORY", directory).replace("/*VIRTUAL*/", virtual)
  }`;
}

/** Differences on the target: at least one row of every table. */
const differences = `SET seren.trap = off; SET session_replication_role = replica;
  UPDATE by_enum SET v = 9 WHERE e::text = 'y' OR v = 2; DELETE FROM by_domain WHERE v = 5;
  UPDATE by_domains SET v = 'w' WHERE i = 3; UPDATE by_comp SET v = 9 WHERE v = 4;
  UPDATE by_dcomp SET v = 9 WHERE v = 4; UPDATE by_range SET v = 9 WHERE v = 4;
  UPDATE by_array SET v = 9 WHERE v = 2; UPDATE by_comps SET v = 9 WHERE v = 4;
  UPDATE no_key SET c = ROW(-1, 'v')::comp WHERE (c).x = 3; UPDATE no_key SET e = 'z' WHERE (c).x = 5;
  UPDATE everything SET c = ROW(-1, 'v')::comp WHERE id = 1; UPDATE everything SET e = 'z' WHERE id = 2;
  UPDATE everything SET r = rng(NULL, NULL) WHERE id = 3; UPDATE everything SET d = 99 WHERE id = 4;
  UPDATE everything SET ens = '{z}' WHERE id = 5; UPDATE everything SET ws = '{}' WHERE id = 6;
  UPDATE parts SET v = 'w' WHERE id IN (5, 5000); UPDATE expressed SET v = 'w' WHERE id = 5;
  UPDATE guarded SET v = 'w' WHERE id = 5;`;

const pairs = withRepeats([[12, 18], [18, 15]], [[15, 15], [18, 18]]);

for (const [from, to] of pairs) {
  Deno.test(`[1.2] verify of ${from} against ${to} runs no user-defined code, whatever differs`, async () => {
    const directory = await Deno.makeTempDir({ prefix: "seren_traps_" });
    await Deno.chmod(directory, 0o777);
    const sprung = () =>
      [...Deno.readDirSync(directory)].map(({ name }) => name.replace(/^\d+_/, "")).toSorted();
    await withDatabase(clusters[from], undefined, async (source) => {
      await withDatabase(clusters[to], undefined, async (target) => {
        await exec(source.url, scriptFor([from, to], directory));
        await exec(target.url, scriptFor([from, to], directory));
        deepStrictEqual(sprung(), []);
        await exec(
          source.url,
          "SELECT c::text, e::text, d + 0 FROM everything WHERE dc = c LIMIT 1",
        );
        deepStrictEqual(sprung(), ["cast_comp", "cast_enum", "equal_comp"], "the traps work");
        for (const name of [...Deno.readDirSync(directory)].map(({ name }) => name)) {
          await Deno.remove(`${directory}/${name}`);
        }

        const equal = await runVerify(source.url, target.url);
        deepStrictEqual(sprung(), []);
        deepStrictEqual(unequalTables(equal), []);

        await exec(target.url, differences);
        const different = await runVerify(source.url, target.url);
        deepStrictEqual(sprung(), []);
        const found = unequalTables(different);
        deepStrictEqual(
          found.map(({ name, verdict, differences }) => `${name} ${verdict} ${differences.length}`)
            .toSorted(),
          [
            "by_array different 1",
            "by_comp different 1",
            "by_comps different 1",
            "by_dcomp different 1",
            "by_domain different 1",
            "by_domains different 1",
            "by_enum different 1",
            "by_range different 1",
            "everything different 6",
            "expressed_1 different 2",
            "guarded different 1",
            "no_key different 4",
            "parts_1 different 1",
            "parts_2 different 1",
          ],
        );

        const planned = await runVerify(source.url, target.url, { repair: "print" });
        deepStrictEqual(sprung(), []);
        ok((planned.repair?.rows ?? 0) >= 15);

        const repaired = await runVerify(source.url, target.url, { repair: "follow" });
        // code that any write to these tables runs; nothing on the source
        const allowed =
          /^(domain_|check$|stored$|partition_key$|compare_comp$|less_comp$|hash_|equal_comp$|index_|constraint_exclusion$|rule$)/;
        deepStrictEqual(sprung().filter((name) => !allowed.test(name)), []);
        deepStrictEqual(unequalTables(repaired), []);
        strictEqual(rowsVerdict(await runVerify(source.url, target.url)), "equal");
      });
    });
    await Deno.remove(directory, { recursive: true });
  });
}

/**
 * A server evaluates constant expressions of these tables whenever it plans a query that uses them.
 */
const planned = `SET seren.trap = off;
  CREATE FUNCTION m.inlined(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i + m.num(''inlined'', 1)';
  CREATE FUNCTION m.passed(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT m.num(''passed'', i)';
  CREATE FUNCTION m.lazy(int, int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM m.boom('operator'); RETURN true; END $$;
  CREATE OPERATOR m.<<< (LEFTARG = int, RIGHTARG = int, FUNCTION = m.lazy);
  CREATE TABLE p_expression (id int PRIMARY KEY); CREATE INDEX ON p_expression ((id + m.num('index_constant', 1)));
  CREATE TABLE p_predicate (id int PRIMARY KEY); CREATE INDEX ON p_predicate (id) WHERE id > m.num('predicate_constant', 0);
  CREATE TABLE p_inlined (id int PRIMARY KEY); CREATE INDEX ON p_inlined (m.inlined(id));
  CREATE TABLE p_operator (id int PRIMARY KEY); CREATE INDEX ON p_operator (id) WHERE 1 OPERATOR(m.<<<) 2 OR id > 5;
  CREATE TABLE p_safe (id int PRIMARY KEY, t text); CREATE INDEX ON p_safe (m.passed(id));
  CREATE INDEX ON p_safe (m.num('safe', id)) WHERE lower(t) <> lower('A') AND id OPERATOR(m.<<<) 7;
  /*STATISTICS*/
  INSERT INTO p_expression VALUES (1); INSERT INTO p_predicate VALUES (1); INSERT INTO p_inlined VALUES (1);
  INSERT INTO p_operator VALUES (1); INSERT INTO p_safe VALUES (1, 'a');`;

for (const [from, to] of withRepeats([[12, 18]], [[15, 15], [18, 15]])) {
  Deno.test(`[1.2] verify of ${from} against ${to} does not read tables whose planning runs a user-defined function, and reports why`, async () => {
    const directory = await Deno.makeTempDir({ prefix: "seren_traps_" });
    await Deno.chmod(directory, 0o777);
    const script = scriptFor([from, to], directory) + planned.replace(
      "/*STATISTICS*/",
      from < 14 ? "" : `CREATE TABLE p_statistics (id int PRIMARY KEY);
        CREATE STATISTICS s ON id, (id + m.num('statistics_constant', 1)) FROM p_statistics; INSERT INTO p_statistics VALUES (1);`,
    );
    await withDatabase(clusters[from], undefined, async (source) => {
      await withDatabase(clusters[to], undefined, async (target) => {
        for (const { url } of [source, target]) await exec(url, script);
        const report = await runVerify(source.url, target.url);
        deepStrictEqual([...Deno.readDirSync(directory)].map(({ name }) => name), []);
        deepStrictEqual(
          unequalTables(report).map(({ name, verdict }) => `${name} ${verdict}`).toSorted(),
          [
            ...[
              "p_expression unchecked",
              "p_inlined unchecked",
              "p_operator unchecked",
              "p_predicate unchecked",
            ],
            ...(from < 14 ? [] : ["p_statistics unchecked"]),
          ],
        );
        strictEqual(
          unequalTables(report).find(({ name }) => name === "p_expression")!.reason,
          "index p_expression_expr_idx calls m.num with constants on the source: any query of the table would run that function. " +
            "Drop it there or replace the call with its value, then verify again",
        );
        await exec(source.url, "SELECT count(*) FROM p_expression");
        deepStrictEqual(
          [...Deno.readDirSync(directory)].map(({ name }) => name.replace(/^\d+_/, "")),
          ["index_constant"],
          "the trap works",
        );
      });
    });
    await Deno.remove(directory, { recursive: true });
  });
}
