import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { sharedCluster } from "../support/clusters.ts";
import {
  type CutoverPair,
  prepareCutover,
  switchCutover,
  withCutoverPair,
} from "../support/cutover_pair.ts";
import { endpointOf } from "../support/init.ts";
import { accepts } from "./open_probe.ts";
import { runCutover } from "./run_program.ts";

const source = await sharedCluster(15);
const target = await sharedCluster(18);
const write = "INSERT INTO balance VALUES (-1, 0)";

Deno.test("a run that died after closing one of two databases leads forward and back", async () => {
  await withCutoverPair({ source, target }, async (a) => {
    await withCutoverPair({ source, target }, async (b) => {
      const map = { [a.name]: a.name, [b.name]: b.name };
      const both: CutoverPair = {
        ...a,
        servers: {
          source: await endpointOf(source.url(), "source"),
          target: await endpointOf(target.url(), "target"),
          databases: { include: [a.name, b.name], exclude: [], map },
        },
      };
      await prepareCutover(both);
      for (const way of ["rollback", "run"] as const) {
        const { hitAt } = await runCutover({
          command: "run",
          sourceUrl: source.url(),
          targetUrl: target.url(),
          databases: [a.name, b.name],
          map,
          maxPauseMs: 60_000,
        }, {
          point: "begin fence 2",
          halts: true,
          act: (child) => Promise.resolve(child.kill("SIGKILL")),
        });
        strictEqual(hitAt, "begin fence 2");
        const open = await Promise.all(
          [a, b].map(({ url }) => accepts(url, write)),
        );
        deepStrictEqual(open.toSorted(), [false, true]);
        await switchCutover(way, both);
        for (const { url, targetUrl } of [a, b]) {
          strictEqual(await accepts(url, write), way === "rollback");
          strictEqual(await accepts(targetUrl, write), way === "run");
        }
      }
    });
  });
});
