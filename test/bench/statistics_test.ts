import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { median, ratios } from "./statistics.ts";

Deno.test("median() is the middle number, or the mean of the middle two", () => {
  strictEqual(median([3, 1, 2]), 2);
  strictEqual(median([4, 1, 3, 2]), 2.5);
  strictEqual(median([10, 9]), 9.5);
  strictEqual(median([]), NaN);
});

Deno.test("ratios() compares within a round", () => {
  // the second round was twice as slow for both
  deepStrictEqual(ratios([1, 2, 1], [2, 4, 4]), { median: 0.5, least: 0.25, most: 0.5 });
});

Deno.test("ratios() omits rounds that the other has not finished", () => {
  deepStrictEqual(ratios([1, 2], [2]), { median: 0.5, least: 0.5, most: 0.5 });
});
