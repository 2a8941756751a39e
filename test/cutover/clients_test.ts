import { deepStrictEqual, ok } from "node:assert/strict";
import {
  acknowledgedSchema,
  checkAcknowledged,
  startAcknowledgedLoad,
} from "../support/acknowledged_load.ts";
import { sharedCluster } from "../support/clusters.ts";
import { prepareCutover, switchCutover, withCutoverPair } from "../support/cutover_pair.ts";
import { hasPgBouncer, PgBouncer } from "../support/pgbouncer.ts";
import { drain } from "../support/replicated.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);

const ignore = !await hasPgBouncer();

for (const mode of ["transaction", "session"] as const) {
  Deno.test({
    name: `clients of PgBouncer in ${mode} mode see no error in a run and a rollback`,
    ignore,
    fn: async () => {
      await withCutoverPair({ source, target, schema: acknowledgedSchema }, async (pair) => {
        await prepareCutover(pair);
        await using pool = await PgBouncer.start(pair.url, mode);
        // in session mode PAUSE waits for clients, which here disconnect after each transaction
        const reconnects = mode === "session";
        await using load = startAcknowledgedLoad([pool.url], { reconnects });
        await load.more(100);
        for (const direction of ["run", "rollback"] as const) {
          await switchCutover(direction, pair, {
            hook: async (hook) => {
              if (hook === "before") await pool.admin("PAUSE app");
              if (hook === "switch") {
                await pool.moveTo(direction === "run" ? pair.targetUrl : pair.url);
              }
              if (hook === "switch" || hook === "abort") await pool.admin("RESUME app");
            },
          });
          await load.more(100);
        }
        const outcome = await load.stop();
        deepStrictEqual(outcome.errors, {});
        ok(outcome.longestMs < 60_000);
        await drain(pair.url);
        for (const url of [pair.url, pair.targetUrl]) {
          deepStrictEqual(await checkAcknowledged(url, outcome), []);
        }
      });
    },
  });
}

Deno.test("clients with several hosts and target_session_attrs=read-write move by themselves", async () => {
  await withCutoverPair({ source, target, schema: acknowledgedSchema }, async (pair) => {
    await prepareCutover(pair);
    const [from, to] = [new URL(pair.url), new URL(pair.targetUrl)];
    const url = `postgres://${from.username}@${from.host},${to.host}${from.pathname}` +
      "?target_session_attrs=read-write";
    await using load = startAcknowledgedLoad([url]);
    await load.more(100);
    for (const direction of ["run", "rollback"] as const) {
      await switchCutover(direction, pair);
      await load.more(100);
    }
    const outcome = await load.stop();
    const expected = new Set(["25006", "57P01", "CONNECTION_CLOSED", "CONNECTION_ENDED"]);
    deepStrictEqual(Object.keys(outcome.errors).filter((code) => !expected.has(code)), []);
    await drain(pair.url);
    for (const side of [pair.url, pair.targetUrl]) {
      deepStrictEqual(await checkAcknowledged(side, outcome), []);
    }
  });
});
