import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { sparkline } from "../../lib/ui/sparkline.ts";
import { displayWidth } from "../../lib/ui/display_width.ts";
import { renderWatch, type WatchedStream, type WatchView } from "../../lib/ui/watch_view.ts";

Deno.test("sparkline() shows the newest values, with 0 lowest and gaps for null", () => {
  strictEqual(sparkline([0, 1, 2, 7], 10), "▁▂▃█");
  strictEqual(sparkline([9, 9, 0, 0, 0], 3), "▁▁▁");
  strictEqual(sparkline([1, null, 1], 3), "█ █");
  deepStrictEqual([sparkline([1, 2], 0), sparkline([], 5)], ["", ""]);
});

const stream: WatchedStream = {
  label: "app → shop",
  state: "streaming",
  tone: "good",
  lagBytes: 1_258_291,
  lagSeconds: 0.42,
  appliedBytesPerSecond: 5 << 20,
  catchUpSeconds: 3,
  history: [0, 5, 9, 3],
};

const view: WatchView = {
  title: "old.example.com → new.example.com",
  time: "12:00:01",
  walBytesPerSecond: 2048,
  streams: [stream],
  findings: [{ tone: "warn", text: "the slot is at risk", remedy: "raise the limit" }],
  hint: "q leaves · every 2 s",
};

Deno.test("renderWatch() shows lag, chart, rates, findings and key hints", () => {
  deepStrictEqual(renderWatch(view, { columns: 80, rows: 24, color: false }), [
    "old.example.com → new.example.com   source generates 2.00 kB/s of WAL · 12:00:01",
    "app → shop  ● streaming  1.20 MB, 420 ms behind",
    "  ▁▅█▄",
    "  applies 5.00 MB/s · will catch up in 3.0 s",
    "",
    "! the slot is at risk",
    "  → raise the limit",
    "q leaves · every 2 s",
  ]);
  deepStrictEqual(renderWatch(view, { columns: 40, rows: 4, color: false }), [
    "old.example.com → new.example.com",
    "app → shop ● 1.20 MB, 420 ms behind",
    "! the slot is at risk",
  ]);
});

Deno.test("renderWatch() never exceeds the terminal, regardless of its size and the number of streams", () => {
  const text = fc.string({ unit: "grapheme", maxLength: 120 });
  const number = fc.option(fc.double({ min: 0, max: 1e15, noNaN: true }));
  const tone = fc.constantFrom("good", "warn", "bad");
  fc.assert(fc.property(
    fc.record({
      title: text,
      time: fc.constant("12:00:01"),
      walBytesPerSecond: number,
      hint: text,
      streams: fc.array(
        fc.record({
          label: text,
          state: fc.constantFrom("streaming", "no-subscription"),
          tone,
          lagBytes: number,
          lagSeconds: number,
          appliedBytesPerSecond: number,
          catchUpSeconds: number,
          history: fc.array(number, { maxLength: 200 }),
        }),
        { maxLength: 12 },
      ),
      findings: fc.array(fc.record({ tone, text, remedy: text }), { maxLength: 12 }),
    }) as fc.Arbitrary<WatchView>,
    fc.integer({ min: 1, max: 200 }),
    fc.integer({ min: 1, max: 60 }),
    fc.boolean(),
    (each, columns, rows, color) => {
      const lines = renderWatch(each, { columns, rows, color });
      ok(lines.length <= Math.max(1, rows - 1), `${lines.length} lines`);
      for (const line of lines) {
        ok(displayWidth(line) <= columns, `${displayWidth(line)} columns: ${line}`);
        ok(!line.includes("\n"));
      }
    },
  ));
});
