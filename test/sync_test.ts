import { deepStrictEqual, ok } from "node:assert/strict";
import type { SyncSettings } from "../lib/commands/run.ts";
import type { Cluster } from "../lib/cluster/mod.ts";
import { sharedCluster } from "./support/clusters.ts";
import { dropDatabase, withDatabase } from "./support/databases.ts";
import { runInit } from "./support/init.ts";
import { compareRows, drain } from "./support/replicated.ts";
import { loadSchema, startReplicationLoad } from "./support/replication_load.ts";
import { exec } from "./support/sql.ts";

const source15 = await sharedCluster(15);
const target15 = await sharedCluster(15, { locale: "C" });

const sync: SyncSettings = {
  identity: "full",
  slotTimeoutMs: 60_000,
  sourceFromTarget: undefined,
  passfile: undefined,
  failover: true,
  now: "2026-01-01T00:00:00Z",
};

/** Runs under load, from before init until after it streams, and compares. */
async function round(source: Cluster, target: Cluster): Promise<void> {
  await withDatabase(source, undefined, async ({ name, url }) => {
    await exec(url, loadSchema());
    const load = startReplicationLoad(url);
    try {
      await load.more(50);
      await runInit(url, target.url(), { include: [name], sync });
      await load.more(300);
      const counts = await load.stop();
      deepStrictEqual(counts.surprises, []);
      await drain(url);
      ok(await compareRows(url, target.url({ database: name })) > 10_000);
    } finally {
      await load.stop();
      await dropDatabase(target, name);
    }
  });
}

Deno.test("init --enable-sync loses and repeats nothing under a mixed load: 15 to 15", async () => {
  await round(source15, target15);
});
