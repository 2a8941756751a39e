/** Cases about what a dump says of schemas and objects in them. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { withCase } from "../support/case.ts";
import { sharedCluster } from "../support/clusters.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);

Deno.test("[20] a source without the schema public has a target without it", async () => {
  await withCase("20-no-public-schema.sql", { source, target }, async (it) => {
    await it.init();
    deepStrictEqual(await it.differences(), []);
    strictEqual((await it.verify()).verdict, "equal");
  });
});
