import { deepStrictEqual, rejects } from "node:assert/strict";
import { joinAll } from "../../lib/core/concurrency.ts";

Deno.test("joinAll() throws the first failure in order, once everything has ended", async () => {
  const ended: string[] = [];
  const end = async (name: string, turns: number) => {
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    ended.push(name);
    throw new Error(name);
  };
  await rejects(joinAll([end("slow", 50), end("quick", 1)]), /slow/);
  deepStrictEqual(ended, ["quick", "slow"]);
  deepStrictEqual(await joinAll([Promise.resolve(1), "two"]), [1, "two"]);
});
