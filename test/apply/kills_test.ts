import { ok } from "node:assert/strict";
import { applyRounds } from "../support/apply_rounds.ts";

Deno.test("no change is lost or repeated when applier, servers or network are killed at random", async () => {
  ok(await applyRounds({ source: 15, target: 18, rounds: 6, seed: Date.now() % 1_000_000 }) > 100);
});
