import { deepStrictEqual, strictEqual } from "node:assert/strict";
import type { RunEvent } from "../../lib/core/internal.ts";
import { applyFacts, type ApplyingStream, nextApplying } from "../../lib/ui/apply_panel.ts";
import { plainLines } from "../../lib/ui/plain_lines.ts";
import { initialProgress, reduce } from "../../lib/ui/progress_state.ts";
import { render } from "../../lib/ui/progress_view.ts";

function progress(transactions: number, more: Partial<RunEvent> = {}): RunEvent {
  return {
    kind: "apply-progress",
    database: "shop",
    stream: "seren_0123456789abcdef",
    transactions,
    changes: transactions * 3,
    lagBytes: 2048,
    idleMs: 400,
    isStopped: false,
    ...more,
  } as RunEvent;
}

Deno.test("the panel shows lag, rates of the last ten seconds, amounts and age", () => {
  let streams: readonly ApplyingStream[] = [];
  for (const [atMs, transactions] of [[0, 0], [1_000, 10], [15_000, 100], [20_000, 150]] as const) {
    streams = nextApplying(streams, progress(transactions) as never, atMs);
  }
  strictEqual(streams.length, 1);
  deepStrictEqual(applyFacts(streams[0]!, 20_600), [
    "2.00 kB behind",
    "10 transactions/s",
    "30 changes/s",
    "150 transactions, 450 changes applied",
    "the last 1.0 s ago",
  ]);
});

Deno.test("the live view shows every stream, and how to stop", () => {
  let state = reduce(initialProgress(0), progress(1), 0);
  state = reduce(state, progress(2, { stream: "seren_2", isStopped: true } as never), 0);
  const lines = render(state, { columns: 120, rows: 20, color: false, nowMs: 0 });
  deepStrictEqual(lines, [
    "",
    "shop  seren_0123456789abcdef",
    "2.00 kB behind · 1 transaction, 3 changes applied · the last 400 ms ago",
    "shop  seren_2",
    "stopped by another command, such as a cutover · 2 transactions, 6 changes applied · the last 400 ms ago",
    "Ctrl-C stops applying changes; the same command resumes.",
  ]);
});

Deno.test("without a terminal, a stream's progress is one line every 30 s", () => {
  const lines: string[] = [];
  let nowMs = 0;
  const display = plainLines({
    writeLine: (line) => lines.push(line),
    level: "info",
    now: () => nowMs,
    date: () => new Date(nowMs),
  });
  for (; nowMs < 61_000; nowMs += 1_000) display.take(progress(nowMs / 1000));
  deepStrictEqual(lines.map((line) => /\d+ transactions?,/.exec(line)?.[0]), [
    "0 transactions,",
    "30 transactions,",
    "60 transactions,",
  ]);
});
