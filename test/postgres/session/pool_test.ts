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

Deno.test("a transaction that cannot take effect is an error, also if its work hides why", async () => {
  await using pool = new SessionPool(await endpointOf(cluster.url(), "target"), { size: 1 });
  await pool.use(async (session) => {
    const name = "SELECT pg_catalog.set_config('seren.name', $1, false)";
    await rejects(
      session.transaction(async () => {
        await session.query(name, ["set"]);
        await session.query("SELECT 1 / 0").catch(() => {});
      }),
      /the server rolled the transaction back/,
    );
    const work = () => session.transaction(() => session.query(name, ["set"]));
    await rejects(session.transaction(work), /already in a transaction/);
    // both would end with the first COMMIT
    const both = await Promise.allSettled([work(), work()]);
    deepStrictEqual(both.map(({ status }) => status), ["fulfilled", "rejected"]);
    await work();
  });
});
