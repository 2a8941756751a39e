/** What `validate` says about a standby as the source. */
import { deepStrictEqual, match } from "node:assert/strict";
import { checkRecovery } from "../../lib/commands/validate/server_checks.ts";
import type { ServerFacts } from "../../lib/commands/validate/facts.ts";

function facts(inRecovery: boolean): ServerFacts {
  return { majorVersion: 16, activity: { inRecovery } } as ServerFacts;
}

Deno.test("a standby can be copied with a warning, but not replicated from, whatever its version", () => {
  const sides = { source: facts(true), target: facts(false) };
  const copied = checkRecovery({ ...sides, forSync: false });
  deepStrictEqual(copied.map(({ id, status }) => [id, status]), [["standby", "warn"]]);
  match(copied[0]?.fix ?? "", /hot_standby_feedback = on/);
  const followed = checkRecovery({ ...sides, forSync: true });
  deepStrictEqual(followed.map(({ id, status }) => [id, status]), [["standby", "fail"]]);
  match(followed[0]?.finding ?? "", /publication, which only its primary can create/);
});
