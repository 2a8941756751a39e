/** Cases in which rows change during replication. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { withCase } from "../support/case.ts";
import { sharedCluster } from "../support/clusters.ts";
import { rowsVerdict } from "../support/verify.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);

Deno.test("[88] cleanup restores the replica identity on both sides", async () => {
  await withCase("88-identity-full-cleanup.sql", { source, target }, async (it) => {
    await it.initWithSync();
    await it.cleanup();
    deepStrictEqual(await it.differences(), []);
    strictEqual((await it.verify()).verdict, "equal");
  });
});

Deno.test("[58] a change of case in a key with a nondeterministic collation is replicated", async () => {
  const rewrite = (script: string) =>
    script.split("\n").filter((line) => !line.includes("full_id")).join("\n");
  await withCase("58-icu-nondeterministic.sql", { source, target, rewrite }, async (it) => {
    await it.initWithSync();
    await it.stream();
    strictEqual(await it.drain(), "drained");
    deepStrictEqual(await it.differences(), []);
    strictEqual(rowsVerdict(await it.verify()), "equal");
  });
});
