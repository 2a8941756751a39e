/** One of the pairs of `deno task test:providers`. */
import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { runStory } from "./story.ts";
import { StandIn } from "./stand_ins.ts";

const rds = await StandIn.start("rds", 16);
const supabase = await StandIn.start("supabase", 17);
Deno.test.afterAll(async () => {
  await Promise.all([rds, supabase].map((each) => each[Symbol.asyncDispose]()));
});

Deno.test("the whole story runs from RDS to a database with schemas and event triggers of Supabase", async () => {
  const { observations, validation } = await runStory(rds, supabase, "app");
  deepStrictEqual(observations.filter(({ result }) => result !== "ok"), []);
  strictEqual(observations.length, 8);
  const lines = validation!.checks.filter(({ id }) => id === "provider");
  deepStrictEqual(lines.map(({ side, status }) => [side, status]), [
    ["source", "pass"],
    ["target", "pass"],
    ["both", "pass"],
  ]);
  match(lines[0]!.finding, /^Amazon RDS: /);
  match(lines[1]!.finding, /^Supabase: /);
});
