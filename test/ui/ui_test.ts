import { deepStrictEqual, doesNotMatch, match, ok, strictEqual } from "node:assert/strict";
import type { RunEvent } from "../../lib/core/internal.ts";
import { bar, percent } from "../../lib/ui/bar.ts";
import { jsonLines } from "../../lib/ui/json_lines.ts";
import { LiveRegion } from "../../lib/ui/live_region.ts";
import { plainLines } from "../../lib/ui/plain_lines.ts";
import {
  copiedFraction,
  initialProgress,
  pace,
  type ProgressState,
  reduce,
} from "../../lib/ui/progress_state.ts";
import { render } from "../../lib/ui/progress_view.ts";
import { renderTable } from "../../lib/ui/table.ts";
import { displayWidth } from "../../lib/ui/display_width.ts";
import { fitLines, printable, truncate, wrap } from "../../lib/ui/text.ts";

const mega = 1 << 20;

/** The state after these events, one per second. */
function stateAfter(events: readonly RunEvent[]) {
  return events.reduce(
    (state, event, index) => reduce(state, event, (index + 1) * 1000),
    initialProgress(0),
  );
}

const copying: readonly RunEvent[] = [
  { kind: "database-planned", database: "shop", tables: 3, bytes: 100 * mega },
  { kind: "step-started", step: "globals" },
  { kind: "step-finished", step: "globals", ms: 300, summary: "12 roles" },
  { kind: "step-started", step: "data", database: "shop" },
  { kind: "table-started", database: "shop", table: "a", bytes: 40 * mega },
  { kind: "table-finished", database: "shop", table: "a", rows: 10, bytes: 20 * mega, ms: 900 },
  { kind: "table-started", database: "shop", table: "日本の表", bytes: 40 * mega },
  { kind: "table-progress", database: "shop", table: "日本の表", bytes: 10 * mega },
  { kind: "warning", message: "odd", side: "target" },
];

Deno.test("truncate() counts columns, not characters, and closes colors", () => {
  strictEqual(truncate("日本の表", 5), "日本…");
  strictEqual(displayWidth(truncate("日本の表", 4)), 3);
  strictEqual(truncate("\x1b[31mabcdef\x1b[39m", 4), "\x1b[31mabc…\x1b[0m");
  strictEqual(truncate("👩‍👩‍👧 family", 4), "👩‍👩‍👧 …");
  strictEqual(truncate("short", 5), "short");
});

Deno.test("printable() replaces control characters in names", () => {
  strictEqual(printable("a\x1b[2Jb\nc"), "a\ufffd[2Jb\ufffdc");
});

Deno.test("wrap() breaks only words longer than a line", () => {
  deepStrictEqual(wrap("one two three", 7), ["one two", "three"]);
  deepStrictEqual(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
});

Deno.test("bar() has the requested width at any fraction", () => {
  for (const fraction of [-1, 0, 0.001, 0.5, 0.999, 1, 2, NaN]) {
    strictEqual(displayWidth(bar(fraction, 17)), 17);
  }
  strictEqual(percent(0.999), " 99 %");
  strictEqual(percent(1), "100 %");
});

Deno.test("renderTable() aligns wide characters and stays within the terminal", () => {
  const columns = [
    { title: "Table", narrow: "cut" as const },
    { title: "Size", align: "right" as const },
    { title: "Note", narrow: "wrap" as const },
  ];
  const rows = [
    ["日本の表", "1 MB", "short"],
    ["a_table_with_a_very_long_name", "12 MB", "a note that takes several lines when it is narrow"],
  ];
  const wide = renderTable(columns, rows, { columns: Infinity, color: false });
  deepStrictEqual(wide[1], "日本の表                        1 MB  short");
  const narrow = renderTable(columns, rows, { columns: 40, color: false });
  ok(narrow.length > 3);
  for (const line of narrow) ok(displayWidth(line) <= 40, line);
});

Deno.test("copiedFraction() uses finished tables to relate COPY bytes to sizes on disk", () => {
  // 40 of 100 MB are finished, as half as many COPY bytes, so 10 MB of the next table count as 20
  strictEqual(copiedFraction(stateAfter(copying)), 0.6);
});

Deno.test("pace() computes rate and remaining time from the last seconds", () => {
  const state = stateAfter(copying);
  const rate = pace(state, 9_000);
  ok(rate !== undefined && rate.remainingMs !== undefined);
  ok(rate.bytesPerSecond > 0 && rate.remainingMs > 0);
});

Deno.test("render() never exceeds the terminal, however small", () => {
  const state = stateAfter(copying);
  for (const columns of [1, 5, 20, 40, 80, 200]) {
    for (const rows of [1, 2, 5, 24]) {
      for (const color of [false, true]) {
        const lines = render(state, { columns, rows, color, nowMs: 10_000 });
        ok(lines.length <= Math.max(1, rows - 1), `${lines.length} lines in ${rows} rows`);
        for (const line of lines) ok(displayWidth(line) <= columns, `${columns}: ${line}`);
      }
    }
  }
});

Deno.test("render() shows for how long a server is down instead of a rate, until rows arrive again", () => {
  const failure: RunEvent = {
    kind: "retry",
    what: "copying the tables of shop",
    reason: "target: Connection refused",
    attempt: 1,
    delayMs: 1000,
  };
  const size = { columns: 100, rows: 24, color: false, nowMs: 21_000 };
  const down = reduce(stateAfter(copying), failure, 9_000);
  const view = render(down, size).join("\n");
  match(view, /waiting, 12\.0 s: copying the tables of shop: target: Connection refused/);
  doesNotMatch(view, /B\/s/);
  const [progress] = copying.filter(({ kind }) => kind === "table-progress");
  const up = render(reduce(down, progress!, 21_500), size).join("\n");
  doesNotMatch(up, /waiting/);
});

Deno.test("render() shows steps, running tables and overall progress", () => {
  const lines = render(stateAfter(copying), { columns: 100, rows: 24, color: false, nowMs: 9_000 });
  const text = lines.join("\n");
  for (
    const part of [
      "✓ Copy roles and settings",
      "12 roles",
      "Copy rows",
      "日本の表",
      "60 %",
      "30.0 MB",
      "1 of 3 tables",
      "left",
      "! 1 warning",
    ]
  ) ok(text.includes(part), `${part} is missing in\n${text}`);
});

Deno.test("a step that failed or was interrupted is marked as such, and not as done", () => {
  const size = { columns: 80, rows: 24, color: false, nowMs: 9_000 };
  const drain = { kind: "step-finished", step: "drain", ms: 300, failed: true } as const;
  const shown = (end: RunEvent) =>
    render(stateAfter([{ kind: "step-started", step: "drain" }, end]), size).join("\n");
  match(shown(drain), /✗ Drain replication +300 ms +failed/);
  match(shown({ ...drain, summary: "interrupted" }), /✗ Drain replication +300 ms +interrupted/);
  ok(!shown(drain).includes("✓"));
});

Deno.test("LiveRegion draws each frame as one synchronized update", () => {
  const frames: string[] = [];
  const size = { columns: 20, rows: 5 };
  using region = new LiveRegion({ write: (text) => frames.push(text), size: () => size });
  region.draw(["one"]);
  region.draw(["two"]);
  strictEqual(frames.length, 2);
  for (const frame of frames) {
    ok(frame.startsWith("\x1b[?2026h") && frame.endsWith("\x1b[?2026l"), JSON.stringify(frame));
  }
});

Deno.test("LiveRegion writes nothing where nothing was drawn, and shows the cursor again after lines were printed", () => {
  let written = "";
  const size = { columns: 20, rows: 5 };
  const region = new LiveRegion({ write: (text) => written += text, size: () => size });
  region.clear();
  region[Symbol.dispose]();
  strictEqual(written, "");
  region.draw(["one"]);
  region.print("permanent\n");
  region.clear();
  ok(written.endsWith("\x1b[?25h"));
});

Deno.test("LiveRegion erases lines that wrapped when the window became narrower", () => {
  let size = { columns: 40, rows: 24 };
  let written = "";
  const region = new LiveRegion({ write: (text) => written += text, size: () => size });
  region.draw(["x".repeat(39), "y"]);
  size = { columns: 20, rows: 24 };
  written = "";
  region.draw(["z"]);
  ok(written.startsWith("\x1b[?2026h\r\x1b[3A\x1b[J"), JSON.stringify(written));
  written = "";
  region[Symbol.dispose]();
  ok(written.endsWith("\x1b[?25h"));
});

Deno.test("a comparison of rows has a bar, bytes and the time left", () => {
  const compared = (bytes: number): RunEvent => ({
    ...{ kind: "step-progress", step: "compare-rows", database: "shop", done: 1, total: 4 },
    ...{ current: "orders", bytes, totalBytes: 40 * mega },
  });
  const started: RunEvent = { kind: "step-started", step: "compare-rows", database: "shop" };
  const size = { columns: 80, rows: 24, color: false, nowMs: 11_000 };
  const line = render(stateAfter([started, compared(0), compared(10 * mega)]), size).at(-1) ?? "";
  match(line, /^█+.?░+ {2}25 % {2}10\.0 MB of 40\.0 MB · 30\.0 s left$/);
  const narrow = render(stateAfter([started, compared(0)]), { ...size, columns: 24 }).at(-1) ?? "";
  strictEqual(narrow, "  0 %  0 B of 40.0 MB");
  const finished: RunEvent = {
    kind: "step-finished",
    step: "compare-rows",
    database: "shop",
    ms: 9,
  };
  match(render(stateAfter([started, compared(0), finished]), size).at(-1) ?? "", /^✓ Compare rows/);
});

Deno.test("plainLines() prints finished tables and a progress line every few seconds", () => {
  const lines: string[] = [];
  let now = 0;
  using display = plainLines({
    writeLine: (line) => lines.push(line),
    level: "info",
    now: () => now,
    date: () => new Date(now),
  });
  for (const event of copying) {
    now += 1_000;
    display.take(event);
  }
  const texts = lines.map((line) => /^00:00:\d\dZ (.*)$/.exec(line)?.[1] ?? "");
  ok(texts.includes("shop: copied a, 10 rows, 20.0 MB in 900 ms"));
  ok(texts.includes("warning: target: odd"));
  strictEqual(texts.filter((text) => text.startsWith("copied ")).length, 1);
});

Deno.test("plainLines() prints how far a comparison is every few seconds, and what an earlier run has copied counts as done", () => {
  const lines: string[] = [];
  let now = 0;
  using display = plainLines({
    writeLine: (line) => lines.push(line.replace(/^\S+Z /, "")),
    level: "info",
    now: () => now,
    date: () => new Date(now),
  });
  const compared = (done: number): RunEvent => ({
    ...{ kind: "step-progress", step: "compare-rows", database: "shop", current: "orders" },
    ...{ done, total: 4, bytes: done * 100 * mega, totalBytes: 400 * mega },
  });
  display.take({ kind: "step-started", step: "compare-rows", database: "shop" });
  for (const done of [0, 1, 2]) {
    now += 3_000;
    display.take(compared(done));
  }
  deepStrictEqual(lines.slice(1), [
    "Compare rows (shop): 1 of 4, 100 MB of 400 MB, 25 %, 18.0 s left",
  ]);
  const resumed = [
    { kind: "database-planned", database: "shop", tables: 3, bytes: 100 * mega },
    { kind: "already-copied", database: "shop", tables: 2, bytes: 60 * mega },
    { kind: "table-started", database: "shop", table: "c", bytes: 40 * mega },
    { kind: "table-progress", database: "shop", table: "c", bytes: 20 * mega },
  ] satisfies RunEvent[];
  for (const event of resumed) {
    now += 1_000;
    display.take(event);
  }
  match(lines.at(-1) ?? "", /^copied 20\.0 MB, 50 %, 2 of 3 tables/);
});

Deno.test("jsonLines() prints one object per line, with time, level and event", () => {
  const lines: string[] = [];
  using display = jsonLines({
    writeLine: (line) => lines.push(line),
    level: "warn",
    date: () => new Date(0),
  });
  for (const event of copying) display.take(event);
  deepStrictEqual(lines.map((line) => JSON.parse(line)), [
    {
      time: "1970-01-01T00:00:00.000Z",
      level: "warn",
      event: "warning",
      message: "odd",
      side: "target",
    },
  ]);
});

Deno.test("throttling events appear on the terminal, in plain lines and as JSON until they are over", () => {
  const reported = [
    { about: "speed", message: "slowed to 40 MB/s: standby s1 is behind", bytesPerSecond: 4e7 },
    { about: "locks", message: "1 session waits for the copy's locks" },
    { about: "snapshot", message: "the copy's snapshot is 10,000,000 transactions old" },
  ] as const;
  const events = reported.map((each): RunEvent => ({ kind: "governor", database: "app", ...each }));
  const size = { columns: 100, rows: 24, color: false, nowMs: 9_000 };
  const during = stateAfter([...copying, ...events]);
  for (const { message } of reported) ok(render(during, size).includes(message), message);
  const passed = [
    { about: "speed", message: "back to full speed" },
    { about: "locks", message: "nobody waits" },
  ] as const;
  const after = render(
    passed.reduce<ProgressState>(
      (state, each) =>
        reduce(state, { kind: "governor", database: "app", ...each, over: true }, 9_000),
      during,
    ),
    size,
  );
  deepStrictEqual(reported.map(({ message }) => after.includes(message)), [false, false, true]);

  const lines: string[] = [];
  const writeLine = (line: string) => void lines.push(line);
  using plain = plainLines({ writeLine, level: "info", now: () => 0, date: () => new Date(0) });
  using json = jsonLines({ writeLine, level: "info", date: () => new Date(0) });
  for (const display of [plain, json]) display.take(events[1]!);
  strictEqual(lines[0], "00:00:00Z app: 1 session waits for the copy's locks");
  deepStrictEqual(JSON.parse(lines[1] ?? ""), {
    time: "1970-01-01T00:00:00.000Z",
    level: "info",
    event: "governor",
    database: "app",
    about: "locks",
    message: "1 session waits for the copy's locks",
  });
});

Deno.test("fitLines() breaks only lines wider than the terminal, at spaces", () => {
  const lines = ["a table   stays", "  → one two three four five six seven"];
  deepStrictEqual(fitLines(lines, { columns: 26 }), [
    "a table   stays",
    "  → one two three four",
    "    five six seven",
  ]);
  deepStrictEqual(fitLines(lines, { columns: Infinity }), lines);
  // not within a word: a URL is copied whole
  deepStrictEqual(fitLines(["  → see postgresql://one.example.com/two"], { columns: 26 }), [
    "  → see",
    "    postgresql://one.example.com/two",
  ]);
});
