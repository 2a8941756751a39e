import { deepStrictEqual, rejects } from "node:assert/strict";
import { ServerError, SessionPool } from "../../../lib/postgres/internal.ts";
import { sharedCluster } from "../../support/clusters.ts";
import { endpointOf } from "../../support/init.ts";

const cluster = await sharedCluster(16);

Deno.test("a session left in a failed transaction can be reused", async () => {
  await using pool = new SessionPool(await endpointOf(cluster.url(), "target"), { size: 1 });
  await rejects(pool.use((session) => session.execute("BEGIN; SELECT 1 / 0; COMMIT")), ServerError);
  const rows = await pool.use((session) => session.query("SELECT 1 AS one"));
  deepStrictEqual(rows.map((row) => ({ ...row })), [{ one: 1 }]);
});
