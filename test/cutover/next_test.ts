import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { interruption } from "../../lib/commands/cutover/interrupted.ts";
import { cutoverNextSteps } from "../../lib/commands/cutover/next.ts";
import { statementLines, switchPlanLines } from "../../lib/cli/print/cutover_lines.ts";
import { failureLines } from "../../lib/cli/print/failure.ts";
import type { CutoverPhase } from "../../lib/cutover/internal.ts";

const next = (...phases: readonly CutoverPhase[]) =>
  cutoverNextSteps(phases.map((phase) => ({ phase, wayBack: true, isReplicated: true })))
    .map(({ command }) => command);

Deno.test("after a switch both the way back and finish are possible; without a way back only finish", () => {
  deepStrictEqual(next("switched"), ["cutover rollback", "cutover finish"]);
  deepStrictEqual(
    cutoverNextSteps([{ phase: "switched", wayBack: false, isReplicated: true }])
      .map(({ command }) => command),
    ["cutover finish"],
  );
});

Deno.test("two closed sides lead out in both directions, the one that was interrupted first", () => {
  deepStrictEqual(next("closing"), ["cutover run", "cutover rollback"]);
  deepStrictEqual(next("returning", "switched"), ["cutover rollback", "cutover run"]);
});

Deno.test("nothing leads on from a finished cutover, or where neither a cutover nor a stream is known", () => {
  deepStrictEqual(next("finished"), []);
  deepStrictEqual(cutoverNextSteps([{ phase: "none", wayBack: false, isReplicated: false }]), []);
  deepStrictEqual(next("none", "finished"), ["cutover prepare"]);
});

Deno.test("an interrupted command says which side accepts writes, what was changed, and what to run", () => {
  const lines = (...given: Parameters<typeof interruption>) =>
    failureLines(interruption(...given), { color: false }).join("\n");
  strictEqual(
    lines("run", [{ name: "app", phase: "prepared" }, { name: "other", phase: "none" }]),
    "Ended: interrupted: nothing was changed; the source accepts writes, the target refuses them.\n" +
      "  → run cutover run again; cutover status shows what else is possible",
  );
  match(
    failureLines(interruption("run", [{ name: "app", phase: "closing" }]), {
      color: false,
      args: ["cutover", "run", "--source", "postgresql://old/app"],
    }).join("\n"),
    /\n {4}.*cutover run --source postgresql:\/\/old\/app\n {4}.*cutover rollback --source postgresql:\/\/old\/app$/,
  );
  match(
    lines("rollback", [{ name: "app", phase: "switched" }]),
    /the target accepts writes, the source refuses them\.\n.*cutover rollback again/,
  );
  match(lines("run", [{ name: "app", phase: "closing" }]), /both sides refuse writes.*\n.*opens/);
  match(lines("prepare", [{ name: "app", phase: "preparing" }]), /is not complete; the source acc/);
  match(
    lines("prepare", [{ name: "a", phase: "prepared" }, { name: "b", phase: "none" }], {
      hasBegun: true,
    }),
    /the preparation is not complete; .*\n.*cutover prepare again; or cleanup/,
  );
  match(
    lines("finish", [{ name: "app", phase: "finished" }]),
    /removed, at least in part; the tar/,
  );
  match(
    lines("run", [{ name: "a", phase: "closing" }, { name: "b", phase: "switched" }]),
    /different states\.\n {2}a: both sides refuse writes\n {2}b: the target accepts/,
  );
});

Deno.test("the plan of a switch lists what it does not prevent at every width, and the side that closes first", () => {
  for (const columns of [80, 120, Infinity]) {
    match(
      switchPlanLines({
        direction: "rollback",
        databases: [],
        maxPauseMs: 30_000,
        warnings: [],
        unchecked: ["nextval still works"],
      }, { columns, color: false }).join("\n"),
      /Not prevented, or not checked:\n- nextval still works/,
    );
  }
  const shown = statementLines([{
    source: "app",
    target: "app",
    statements: { source: ["SELECT 1"], target: ["SELECT 2"] },
  }], { columns: 80, color: false, sides: ["target", "source"] });
  deepStrictEqual(shown.filter((line) => line.startsWith("SELECT")), ["SELECT 2;", "SELECT 1;"]);
});
