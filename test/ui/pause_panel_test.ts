import { deepStrictEqual, ok } from "node:assert/strict";
import { initialProgress, reduce } from "../../lib/ui/progress_state.ts";
import { render } from "../../lib/ui/progress_view.ts";
import { displayWidth } from "../../lib/ui/display_width.ts";

const pause = {
  kind: "cutover-pause",
  pauseMs: 400,
  maxPauseMs: 1_000,
  waiting: 6,
  longestWaitMs: 380,
  lagBytes: 0,
  isOver: false,
} as const;

const during = reduce(
  reduce(initialProgress(0), { kind: "step-started", step: "drain" }, 0),
  pause,
  1_000,
);

Deno.test("the live view shows the step, the pause against its limit, who waits, and the lag", () => {
  deepStrictEqual(render(during, { columns: 60, rows: 20, color: false, nowMs: 1_100 }), [
    "⠙ Drain replication            1.1 s",
    "",
    "Writers wait: 500 ms of 1.0 s  ██████████████▌░░░░░░░░░░░░░░",
    "6 sessions waiting · the longest for 380 ms · no lag",
  ]);
});

Deno.test("the live view says how long writers waited once the pause is over", () => {
  const after = reduce(during, { ...pause, pauseMs: 520, waiting: 0, isOver: true }, 1_200);
  deepStrictEqual(
    render(after, { columns: 80, rows: 20, color: false, nowMs: 9_000 }).at(-1),
    "✓ writers waited 520 ms of 1.0 s; 6 sessions at once at most",
  );
});

Deno.test("the live view of a pause fits any terminal", () => {
  for (let columns = 10; columns < 200; columns += 7) {
    for (let rows = 2; rows < 12; rows++) {
      const lines = render(during, { columns, rows, color: true, nowMs: 5_000 });
      ok(lines.length <= Math.max(1, rows - 1));
      ok(lines.every((line) => displayWidth(line) <= columns));
    }
  }
});
