import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { sharedCluster } from "../support/clusters.ts";
import { prepareCutover, switchCutover, withCutoverPair } from "../support/cutover_pair.ts";
import { drain } from "../support/replicated.ts";
import { query, withSession } from "../support/sql.ts";
import { run } from "./_facts.ts";

const source = await sharedCluster(16);
const target = await sharedCluster(18);

Deno.test("the way back brings what clients write on the target, and nothing that has an origin: 16 to 18", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    await prepareCutover(pair);
    const subscribed =
      "SELECT suborigin FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())";
    deepStrictEqual(await query(pair.url, subscribed), [{ suborigin: "none" }]);
    deepStrictEqual(await query(pair.targetUrl, subscribed), [{ suborigin: "any" }]);
    await switchCutover("run", pair);
    const origin = `elsewhere_${pair.name}`;
    await withSession(pair.targetUrl, async (session) => {
      try {
        // as an apply worker writes what it has received
        await run(session, `SELECT pg_replication_origin_create('${origin}')`);
        await run(session, `SELECT pg_replication_origin_session_setup('${origin}')`);
        await run(session, "INSERT INTO ack (writer, n) VALUES (50, 1)");
        await run(session, "SELECT pg_replication_origin_session_reset()");
        await run(session, "INSERT INTO ack (writer, n) VALUES (50, 2)");
      } finally {
        await run(session, `SELECT pg_replication_origin_drop('${origin}')`);
      }
    });
    await drain(pair.targetUrl);
    const rows = await query(pair.url, "SELECT n FROM ack WHERE writer = 50");
    strictEqual(rows.map(({ n }) => n).join(), "2");
  });
});
