/**
 * User-defined casts to text, while a superuser copies, replicates, compares and repairs rows.
 */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { withCase } from "../../support/case.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { withRepeats } from "../../support/long.ts";
import { exec, query } from "../../support/sql.ts";
import { rowsVerdict, unequalTables } from "../../support/verify.ts";

const clusters = {
  12: await sharedCluster(12),
  15: await sharedCluster(15),
  18: await sharedCluster(18),
};

/** The files created by casts that ran on either server. */
function sprung(ports: readonly number[]): readonly string[] {
  return [...Deno.readDirSync("/tmp")].map(({ name }) => name)
    .filter((name) => ports.some((port) => name.startsWith(`seren_cast_${port}_`)));
}

for (const [from, to] of withRepeats([[12, 18]], [[15, 18]])) {
  Deno.test(`[cast] no user-defined cast runs from ${from} to ${to}: in verify, in repair, and under replication`, async () => {
    const [source, target] = [clusters[from], clusters[to]];
    const ports = [source.port, target.port];
    const options = {
      source,
      target,
      name: "castdb",
      owner: "mallory",
      // touch does not read its input, so a server that writes it slowly reports a broken pipe
      rewrite: (script: string) => script.replace("'touch /tmp", "'cat >/tmp"),
    };
    await withCase("security/cast.sql", options, async (it) => {
      await it.initWithSync();
      strictEqual(rowsVerdict(await it.verify()), "equal");
      await exec(
        it.neutralUrl("source"),
        `UPDATE t_comp SET c.y = 'w' WHERE a < 10; UPDATE t_en SET v = 7 WHERE v = 1; DELETE FROM t_rng WHERE a = 3;
         INSERT INTO t_rng VALUES (99, rng(5, 6)); INSERT INTO t_en VALUES ('z', 3)`,
      );
      strictEqual(
        rowsVerdict(await it.verify()),
        "equal",
        "changes that are on their way are awaited",
      );
      await exec(
        it.neutralUrl("target"),
        `UPDATE t_comp SET c.x = 77 WHERE a = 20; UPDATE t_rng SET c = rng(7, 9) WHERE a = 4; DELETE FROM t_en WHERE v = 2;
         UPDATE t_nokey SET e = 'y' WHERE (c).x = 9`,
      );
      const report = await it.verify();
      deepStrictEqual(
        unequalTables(report).map(({ name, differences }) => `${name} ${differences.length}`)
          .toSorted(),
        ["t_comp 1", "t_en 1", "t_nokey 2", "t_rng 1"],
      );
      deepStrictEqual(
        unequalTables(report).find(({ name }) => name === "t_rng")!.differences[0]!.columns,
        [
          { column: "c", source: "[4,5)", target: "[7,9)" },
        ],
      );
      await it.verify({ repair: "print" });
      strictEqual(rowsVerdict(await it.verify({ repair: "follow" })), "equal");
      strictEqual(rowsVerdict(await it.verify()), "equal");
      deepStrictEqual(sprung(ports), []);
      try {
        await query(it.neutralUrl("target"), "SELECT c::text FROM t_comp LIMIT 1");
        deepStrictEqual(sprung(ports), [`seren_cast_${target.port}_cast_comp`], "the trap works");
      } finally {
        for (const name of sprung(ports)) await Deno.remove(`/tmp/${name}`);
      }
    });
  });
}
