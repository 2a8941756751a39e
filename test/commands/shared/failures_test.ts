import { match, ok, strictEqual } from "node:assert/strict";
import { ReplicatorError } from "../../../lib/core/internal.ts";
import { combineFailures } from "../../../lib/commands/shared/failures.ts";

function remedyOf(...remedies: readonly string[]): string {
  const error = combineFailures(
    remedies.map((remedy, index) => ({
      database: `d${index}`,
      error: new ReplicatorError("it failed", { remedy }),
    })),
    3,
  );
  ok(error instanceof ReplicatorError);
  for (const remedy of remedies) match(error.details.join("\n"), new RegExp(remedy));
  return error.remedy ?? "";
}

Deno.test("the remedy of a run does not contradict those of its databases", () => {
  match(remedyOf("make room", "fix it"), /run the same command again: it resumes/);
  const startingOver = remedyOf("make room", "start over with --no-resume");
  match(startingOver, /--no-resume.*from the start, and keeps the others/);
  strictEqual(/resumes|run the same command again/.test(startingOver), false);
});
