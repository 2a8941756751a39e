/** A few rounds of `deno task test:cutover`. */
import { ok } from "node:assert/strict";
import { KillRounds } from "./kill_rounds.ts";
import { startTestCluster } from "../support/test_cluster.ts";

const seed = Math.floor(Math.random() * 1e9);
const settings = { synchronous_commit: "on" };

Deno.test({
  name: `cutovers survive kills and crashes under load (seed ${seed})`,
  // the servers and their databases are shared by the steps
  fn: async (test) => {
    await using source = await startTestCluster({ major: 15, settings });
    await using target = await startTestCluster({ major: 18, settings });
    await using rounds = await KillRounds.start({ source, target, seed });
    await using several = await KillRounds.start({ source, target, seed: seed + 1, databases: 2 });
    for (
      const [kind, point] of [
        ["tool", "begin fence 1"],
        ["both", "end way-back 2"],
        ["random", "begin way-back 2"],
        ["cut", "begin fence 1"],
        ["tool", "end fence 1"],
        ["backend", "end barrier 1"],
      ] as const
    ) {
      await test.step(`${kind} at ${point}`, async () => {
        const { ok: survived, text } = await rounds.run(kind, point);
        ok(survived, text);
      });
    }
    for (
      const [kind, point] of [
        ["tool", "begin fence 2"],
        ["cut", "end fence 1"],
        ["source", "begin fence 2"],
      ] as const
    ) {
      await test.step(`${kind} at ${point} of two databases`, async () => {
        const { ok: survived, text } = await several.run(kind, point);
        ok(survived, text);
      });
    }
  },
});
