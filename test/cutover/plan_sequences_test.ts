import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { planSequences, type SequenceReading } from "../../lib/cutover/internal.ts";

const ascending: SequenceReading = {
  schema: "public",
  name: "s",
  lastValue: 100n,
  isCalled: true,
  increment: 1n,
  min: 1n,
  max: 9_223_372_036_854_775_807n,
  cache: 1n,
  cycles: false,
};
const unused = { ...ascending, lastValue: 1n, isCalled: false };

Deno.test("the margin is counted in calls of nextval, each of which takes a whole cache", () => {
  deepStrictEqual(plan(ascending, 10), { value: 110n, isCalled: true, note: undefined });
  deepStrictEqual(plan({ ...ascending, cache: 50n }, 10).value, 600n);
  deepStrictEqual(plan({ ...ascending, increment: 7n, cache: 50n }, 10).value, 3_600n);
});

Deno.test("a descending sequence continues downwards", () => {
  const descending = { ...ascending, increment: -3n, min: -1_000_000n, max: -1n, lastValue: -10n };
  strictEqual(plan(descending, 5).value, -25n);
  // its other side has gone further down already
  strictEqual(
    plan(descending, 5, { ...descending, lastValue: -500n }).value,
    -500n,
  );
  strictEqual(plan(descending, 5, { ...descending, lastValue: -12n }).value, -25n);
});

Deno.test("without a margin, a sequence that was never used keeps its first value", () => {
  deepStrictEqual(plan(unused, 0), { value: 1n, isCalled: false, note: undefined });
  deepStrictEqual(plan(unused, 10), { value: 11n, isCalled: true, note: undefined });
});

Deno.test("a value of the other side that is ahead is kept", () => {
  strictEqual(plan(ascending, 10, { ...ascending, lastValue: 5_000n }).value, 5_000n);
});

Deno.test("near its end a sequence is set without the margin, which is noted", () => {
  const short = { ...ascending, max: 105n };
  const { value, isCalled, note } = plan(short, 10);
  deepStrictEqual({ value, isCalled }, { value: 100n, isCalled: true });
  ok(note !== undefined);
});

Deno.test("the only value of a sequence is not skipped", () => {
  const single = { ...unused, max: 1n };
  const { value, isCalled } = plan(single, 10);
  deepStrictEqual({ value, isCalled }, { value: 1n, isCalled: false });
});

Deno.test("a cycle wraps in either direction", () => {
  const up = { ...ascending, min: 1n, max: 100n, lastValue: 95n, cycles: true };
  strictEqual(plan(up, 10).value, 5n);
  const down = {
    ...ascending,
    increment: -1n,
    min: -100n,
    max: -1n,
    lastValue: -95n,
    cycles: true,
  };
  strictEqual(plan(down, 10).value, -5n);
  const always = plan(up, 1_234_567);
  ok(always.value >= 1n && always.value <= 100n);
});

Deno.test("limits are those of the other side", () => {
  const other = { ...ascending, min: 1_000n, max: 2_000n };
  strictEqual(plan(ascending, 10, other).value, 1_000n);
  strictEqual(plan({ ...ascending, lastValue: 3_000n }, 10, other).value, 2_000n);
});

Deno.test("nothing exceeds 64 bits", () => {
  const last = { ...ascending, lastValue: ascending.max };
  const { value, note } = plan(last, 1_000);
  strictEqual(value, ascending.max);
  ok(note !== undefined);
});

Deno.test("a sequence that the other side lacks is left out", () => {
  deepStrictEqual(planSequences({ from: [ascending], to: [], margin: 1 }), []);
});

function plan(from: SequenceReading, margin: number, to: SequenceReading = from) {
  const [setting] = planSequences({
    from: [from],
    to: [to],
    margin,
  });
  if (setting === undefined) throw new Error("no plan");
  const { value, isCalled, note } = setting;
  return { value, isCalled, note };
}
