import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { interruption } from "../../lib/commands/cutover/interrupted.ts";
import { cutoverNextSteps } from "../../lib/commands/cutover/next.ts";
import { fitCommand } from "../../lib/cli/print/fit_command.ts";
import { nextCommandLine } from "../../lib/cli/print/next_command.ts";
import {
  statementLines,
  switchPlanLines,
  timelineLines,
} from "../../lib/cli/print/cutover_lines.ts";
import { failureLines } from "../../lib/cli/print/failure.ts";
import type { CutoverPhase } from "../../lib/cutover/internal.ts";

const next = (...phases: readonly CutoverPhase[]) =>
  cutoverNextSteps(
    phases.map((phase) => ({ phase, unfinished: null, wayBack: true, isKnown: true })),
  )
    .map(({ command }) => command);

Deno.test("after a switch both the way back and finish are possible; without a way back only finish", () => {
  deepStrictEqual(next("switched"), ["cutover rollback", "cutover finish"]);
  deepStrictEqual(
    cutoverNextSteps([{ phase: "switched", unfinished: null, wayBack: false, isKnown: true }])
      .map(({ command }) => command),
    ["cutover finish"],
  );
});

Deno.test("two closed sides lead out in both directions, the one that was interrupted first", () => {
  deepStrictEqual(next("closing"), ["cutover run", "cutover rollback"]);
  deepStrictEqual(next("returning", "switched"), ["cutover rollback", "cutover run"]);
});

Deno.test("a finished cutover leads to cleanup; nothing leads on where neither a cutover nor a stream is known", () => {
  deepStrictEqual(next("finished"), ["cleanup"]);
  deepStrictEqual(
    cutoverNextSteps([{ phase: "none", unfinished: null, wayBack: false, isKnown: false }]),
    [],
  );
  deepStrictEqual(next("none", "finished"), ["cutover prepare"]);
});

Deno.test("an interrupted command says which side accepts writes, what was changed, and what to run", () => {
  const lines = (...given: Parameters<typeof interruption>) =>
    failureLines(interruption(...given), { color: false }).join("\n");
  strictEqual(
    lines("run", [{ name: "app", phase: "prepared" }, { name: "other", phase: "none" }]),
    "Ended: interrupted; nothing was changed; the source accepts writes, the target refuses them.\n" +
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
      }, { columns, color: false, hookBeforeMs: 60_000 }).join("\n"),
      /Clients held by the hook before wait up to 1 min.* longer\.\n+Not prevented, or not checked:\n- nextval still works/,
    );
  }
  const shown = statementLines([{
    source: "app",
    target: "app",
    statements: { source: ["SELECT 1"], target: ["SELECT 2"] },
  }], { columns: 80, color: false, sides: ["target", "source"] });
  deepStrictEqual(shown.filter((line) => line.startsWith("SELECT")), ["SELECT 2;", "SELECT 1;"]);
});

Deno.test("a command is broken between its words, so that it can be run as it is printed", () => {
  const command = "deno task start cutover run --source 'postgresql://app@old.example.com/a b' " +
    "--target postgresql://app@new.example.com/app --include-databases app";
  deepStrictEqual(fitCommand(command, { columns: 60, label: "then: " }), [
    "then: deno task start cutover run \\",
    "      --source 'postgresql://app@old.example.com/a b' \\",
    "      --target postgresql://app@new.example.com/app \\",
    "      --include-databases app",
  ]);
  deepStrictEqual(fitCommand(command, { columns: Infinity }), [command]);
  const interrupted = failureLines(interruption("run", [{ name: "app", phase: "prepared" }]), {
    color: false,
    columns: 60,
    args: ["cutover", "run", "--source", `postgresql://${"long".repeat(20)}/app`],
  });
  strictEqual(interrupted[0], "Ended: interrupted; nothing was changed; the source");
  // a longer word stays whole
  match(interrupted.join("\n"), /\n {6}--source postgresql:\/\/(long){20}\/app/);
});

Deno.test("the switch after a rehearsal is given what the rehearsal measured with, and cleanup no --map", () => {
  const args = ["cutover", "rehearse", "--map", "a=b", "--max-pause", "5s", "--brownout", "1s"];
  match(
    nextCommandLine("cutover run", args, { keeps: ["--max-pause"] }),
    / cutover run --map a=b --max-pause 5s$/,
  );
  match(nextCommandLine("cleanup", ["--map", "a=b", "--source", "s"]), / cleanup --source s$/);
});

Deno.test("the timeline shows the result of every step at 80 columns, whole", () => {
  const summary = "a token takes 1.2 s to arrive, and comes back";
  const lines = timelineLines([
    { step: "way-back", atMs: 0, ms: 61_000, isPause: false, summary: "1 slot created" },
    { step: "drain", atMs: 61_000, ms: 400, isPause: true, summary },
  ], { columns: 80, color: false });
  for (const line of lines) ok(line.length <= 80, line);
  const shown = lines.map((line) => line.slice(62)).join(" ");
  ok(shown.endsWith(summary), lines.join("\n"));
});
