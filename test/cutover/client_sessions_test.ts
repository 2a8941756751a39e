import { deepStrictEqual } from "node:assert/strict";
import { endClientSessions } from "../../lib/cutover/internal.ts";
import { sharedCluster } from "../support/clusters.ts";
import { withCutoverPair } from "../support/cutover_pair.ts";
import { endpointOf } from "../support/init.ts";
import { exec, query, withSession } from "../support/sql.ts";
import { waitUntil } from "../support/wait.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);

/** Processes of replication, which have to live on. */
const workers = `
  SELECT pid FROM pg_stat_replication UNION ALL
  SELECT pid FROM pg_stat_subscription WHERE pid IS NOT NULL ORDER BY 1`;

/** Waits until replication runs, and returns its processes. */
async function started(url: string) {
  for (;;) {
    const pids = await query(url, workers);
    if (pids.length > 0) return pids;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

Deno.test("a role that sees no details of other roles' sessions ends clients, and leaves replication running", async () => {
  await withCutoverPair({ source, target }, async ({ name, url, targetUrl }) => {
    for (const side of [url, targetUrl]) {
      const [closer, app] = [`closer_${name}`, `app_${name}`];
      await exec(
        side,
        `CREATE ROLE ${closer} LOGIN; CREATE ROLE ${app} LOGIN; GRANT pg_signal_backend TO ${closer}`,
      );
      const as = (role: string) => Object.assign(new URL(side), { username: role }).href;
      try {
        const before = await started(side);
        await withSession(as(app), async (session) => {
          const [own] = await session.unsafe<{ pid: number }[]>("SELECT pg_backend_pid() AS pid");
          const { ended } = await endClientSessions(await endpointOf(as(closer), "source"));
          deepStrictEqual(ended, 1);
          const isGone = async () =>
            (await query(side, `SELECT FROM pg_stat_activity WHERE pid = ${own!.pid}`)).length ===
              0;
          await waitUntil("the session has ended", isGone);
        });
        deepStrictEqual(await query(side, workers), before);
      } finally {
        await exec(side, `DROP ROLE ${closer}; DROP ROLE ${app}`);
      }
    }
  });
});
