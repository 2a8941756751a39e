import { deepStrictEqual, ok } from "node:assert/strict";
import { sharedCluster } from "../support/clusters.ts";
import { createClientStream, endClientStream, RunningApplier } from "../support/client_stream.ts";
import { compareRows, drain, tablesOf } from "../support/replicated.ts";
import { createDatabase } from "../support/databases.ts";
import { loadSchema, startReplicationLoad } from "../support/replication_load.ts";
import { exec } from "../support/sql.ts";

const clusters = {
  12: await sharedCluster(12),
  18: await sharedCluster(18),
};
const pairs = [[12, 18], [18, 18], [18, 12]] as const;

for (const [from, to] of pairs) {
  Deno.test(`applies a mixed load of several sessions from ${from} to ${to}`, async () => {
    await using source = await createDatabase(clusters[from], "");
    await using target = await createDatabase(clusters[to], loadSchema());
    const tables = await tablesOf(target.url);
    await exec(target.url, `TRUNCATE ${tables.join(", ")} CASCADE`);
    const stream = await createClientStream(source.url, target.url);
    try {
      await exec(source.url, loadSchema());
      await exec(source.url, "ALTER TABLE log REPLICA IDENTITY FULL");
      await using applier = new RunningApplier(stream);
      await using load = startReplicationLoad(source.url, { twoPhase: false });
      await Promise.race([load.more(600), applier.ended]);
      const counts = await load.stop();
      deepStrictEqual(counts.surprises, []);
      await Promise.race([drain(source.url), applier.ended]);
      ok(await compareRows(source.url, target.url) > 10_000);
      deepStrictEqual(applier.messages, []);
    } finally {
      await endClientStream(stream);
    }
  });
}
