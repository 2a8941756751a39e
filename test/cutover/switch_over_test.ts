import { deepStrictEqual, ok } from "node:assert/strict";
import { checkAcknowledged, startAcknowledgedLoad } from "../support/acknowledged_load.ts";
import { sharedCluster } from "../support/clusters.ts";
import { prepareCutover, switchCutover, withCutoverPair } from "../support/cutover_pair.ts";
import { compareRows, drain } from "../support/replicated.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);
const maxPauseMs = 30_000;

Deno.test("a switch, a switch back and another one lose no acknowledged commit: 15 to 18", async () => {
  await withCutoverPair({ source, target }, async (pair) => {
    const { url, targetUrl } = pair;
    await using load = startAcknowledgedLoad([url, targetUrl]);
    await load.more(100);
    await prepareCutover(pair);
    for (const direction of ["run", "rollback", "run"] as const) {
      await load.more(200);
      const report = await switchCutover(direction, pair, { maxPauseMs });
      ok(report!.pauseMs < maxPauseMs);
      await load.more(200);
    }
    const outcome = await load.stop();
    const expected = new Set(["25006", "57P01", "CONNECTION_CLOSED", "CONNECTION_ENDED"]);
    deepStrictEqual(Object.keys(outcome.errors).filter((code) => !expected.has(code)), []);
    await drain(targetUrl);
    for (const side of [url, targetUrl]) {
      deepStrictEqual(await checkAcknowledged(side, outcome), []);
    }
    ok(await compareRows(url, targetUrl) > 0);
  });
});
