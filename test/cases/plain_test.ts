/** Cases without peculiarities apart from the server's minor version. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { withCase } from "../support/case.ts";
import { sharedCluster } from "../support/clusters.ts";
import { testedServers } from "../support/installed.ts";
import { withRepeats } from "../support/long.ts";

const target = await sharedCluster(18);
const other = await sharedCluster(15, { programs: "embedded" });

for (const { label, major, options } of await testedServers(15)) {
  const source = await sharedCluster(major, options);
  const targets = withRepeats([target], source === other ? [] : [other]);
  for (const to of targets) {
    Deno.test(`[50] a plain table of ${label} is equal on ${to.major} after init`, async () => {
      await withCase("50-plain-1520.sql", { source, target: to }, async (it) => {
        await it.init();
        deepStrictEqual(await it.differences(), []);
        strictEqual((await it.verify()).verdict, "equal");
      });
    });
  }
}
