import { strictEqual } from "node:assert/strict";
import { sharedCluster } from "../support/clusters.ts";
import {
  type CutoverPair,
  prepareCutover,
  switchCutover,
  withCutoverPair,
} from "../support/cutover_pair.ts";
import { endpointOf } from "../support/init.ts";
import { exec, query } from "../support/sql.ts";
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
        await runCutover({
          command: "run",
          sourceUrl: source.url(),
          targetUrl: target.url(),
          databases: [a.name, b.name],
          map,
          maxPauseMs: 60_000,
        }, {
          point: "begin fence 1",
          halts: true,
          act: (child) => Promise.resolve(child.kill("SIGKILL")),
        });
        await closeByHand(a.url);
        strictEqual(await accepts(a.url, write), false);
        await switchCutover(way, both);
        for (const { url, targetUrl } of [a, b]) {
          strictEqual(await accepts(url, write), way === "rollback");
          strictEqual(await accepts(targetUrl, write), way === "run");
        }
      }
    });
  });
});

/** What the commit of one database would have done. */
async function closeByHand(url: string): Promise<void> {
  const tables = await query<{ name: string }>(
    url,
    "SELECT tgrelid::regclass::text AS name FROM pg_trigger WHERE tgname = 'seren_fence'",
  );
  const closing = tables.map(({ name }) =>
    `ALTER TABLE ONLY ${name} ENABLE ALWAYS TRIGGER seren_fence, ENABLE ALWAYS TRIGGER seren_fence_truncate`
  );
  await exec(
    url,
    [
      ...closing,
      `UPDATE seren_cutover.side SET is_open = false, generation = generation + 1`,
    ].join(";\n"),
  );
}
