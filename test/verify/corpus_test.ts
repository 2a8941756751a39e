/**
 * The whole corpus, copied from the oldest version to the newest, compares equal: no false alarm
 * for any type.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { sharedCluster } from "../support/clusters.ts";
import { copyCorpus, loadCorpusFor } from "../support/corpus_copy.ts";
import { runVerify, unequalTables } from "../support/verify.ts";

const source = await sharedCluster(12, { settings: { max_locks_per_transaction: "256" } });
const target = await sharedCluster(18, { settings: { max_locks_per_transaction: "256" } });

Deno.test("verify() finds the corpus equal between versions 12 and 18, with different database settings", async () => {
  await loadCorpusFor(source, 18);
  await copyCorpus(source, target);
  const report = await runVerify(
    source.url({
      database: "corpus",
      params: { options: "-c DateStyle=German -c TimeZone=Asia/Tokyo" },
    }),
    target.url({
      database: "corpus",
      params: { options: "-c bytea_output=escape -c extra_float_digits=0" },
    }),
  );
  deepStrictEqual(
    unequalTables(report).map(({ schema, name, verdict, reason, sourceRows, targetRows }) => ({
      schema,
      name,
      verdict,
      reason,
      sourceRows,
      targetRows,
    })),
    [],
  );
  ok(report.rows > 1_000);
  const objects = report.databases[0]?.sections.find(({ section }) => section === "large-objects");
  deepStrictEqual([objects?.verdict, objects?.compared], ["equal", 205]);
  strictEqual(report.notChecked.filter(({ failed }) => failed).length, 0);
});
