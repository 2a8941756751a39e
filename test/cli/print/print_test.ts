/** Documents of `--json`. */
import { deepStrictEqual } from "node:assert/strict";
import { printJson } from "../../../lib/cli/print/print.ts";

Deno.test("durations, sizes and rates of --json are rounded, other numbers are not", () => {
  let text = "";
  const stdout = {
    write: (written: string) => void (text += written),
    isTerminal: false,
    color: false,
    size: () => ({ columns: 80, rows: 24 }),
  };
  const other = { share: 0.0001234, rows: 3, text: "1.23456 ms" };
  printJson({ stdout }, {
    ...{ ms: 12.345678, totalBytes: 10, bytesPerSecond: 1234.56789, ...other },
    steps: [{ predictedMs: 0.0004, ms: null }],
  });
  deepStrictEqual(JSON.parse(text), {
    ...{ ms: 12.346, totalBytes: 10, bytesPerSecond: 1234.568, ...other },
    steps: [{ predictedMs: 0, ms: null }],
  });
});
