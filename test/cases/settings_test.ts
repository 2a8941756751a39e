/**
 * Cases about settings of databases and roles: computed values use those of the target, the tool's
 * statements use none.
 */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { withCase } from "../support/case.ts";
import { sharedCluster } from "../support/clusters.ts";
import { installedDumpMajor } from "../support/corpus_copy.ts";
import { withRepeats } from "../support/long.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);

Deno.test("[10] a check that depends on TimeZone and DateStyle holds for copied rows", async () => {
  await withCase("10-timezone-check.sql", { source, target }, async (it) => {
    await it.init();
    deepStrictEqual(await it.differences(), []);
    strictEqual((await it.verify()).verdict, "equal");
  });
});

Deno.test("[12] generated columns, index expressions and materialized views use the database's TimeZone", async () => {
  await withCase("12-generated-timezone.sql", { source, target }, async (it) => {
    await it.init();
    deepStrictEqual(await it.differences(), []);
    strictEqual((await it.verify()).verdict, "equal");
  });
});

for (const dump of ["native", "embedded"] as const) {
  const tools = {
    dump,
    binDirectory: undefined,
    environment: { PATH: Deno.env.get("PATH"), HOME: Deno.env.get("HOME") },
  };
  const to = dump === "native" ? source : target;
  const from = dump === "native" ? await sharedCluster(14) : source;
  for (const file of ["18-database-read-only.sql", "22-database-role-can-read.sql"]) {
    Deno.test({
      name: `[${
        file.slice(0, 2)
      }] settings of the database reach neither a session nor the ${dump} pg_dump`,
      ignore: dump === "native" && await installedDumpMajor() < to.major,
      fn: async () => {
        await withCase(file, { source: from, target: to }, async (it) => {
          await it.init({ tools });
          deepStrictEqual(await it.differences(), []);
          strictEqual((await it.verify()).verdict, "equal");
          await it.validate({ tools });
        });
      },
    });
  }
}

const older = [await sharedCluster(12), await sharedCluster(14)] as const;
const pairs = withRepeats([older], [[source, target]]);

for (const [from, to] of pairs) {
  Deno.test(`[35] settings that would change what an apply worker writes do not affect it, ${from.major} to ${to.major}`, async () => {
    await withCase("35-sync-database-settings.sql", { source: from, target: to }, async (it) => {
      const { events } = await it.initWithSync();
      match(JSON.stringify(events), /array_nulls is off/);
      await it.stream();
      strictEqual(await it.drain(), "drained");
      const ofRows = (await it.differences()).filter(({ kind }) => kind !== "database setting");
      deepStrictEqual(ofRows, []);
      strictEqual((await it.verify()).verdict, "equal");
      await it.cleanup();
      deepStrictEqual(await it.differences(), []);
      strictEqual((await it.verify()).verdict, "equal");
    });
  });
}
