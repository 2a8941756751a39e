/** Documents of `--json`, and text of servers in what is printed. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { failureDocument, failureLines } from "../../../lib/cli/print/failure.ts";
import { jsonDocument, jsonLine, printJson } from "../../../lib/cli/print/print.ts";
import { commandLine } from "../../../lib/cli/print/resume_command.ts";
import { InterruptedError, ReplicatorError, UsageError } from "../../../lib/core/internal.ts";
import { printable } from "../../../lib/ui/mod.ts";

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

Deno.test("text of a server cannot control the terminal, in errors, JSON and printed commands", () => {
  const hostile = "a\x1b[2J\u009b31m\u202eb\u200f'c";
  const given = { details: [hostile], remedy: hostile, object: hostile };
  const errors = [
    new ReplicatorError(hostile, given),
    new InterruptedError(hostile, given),
    new UsageError([{ path: hostile, message: hostile }], hostile),
    new Error(hostile),
  ];
  const printed = [
    ...errors.flatMap((error) => failureLines(error, { color: false })),
    ...errors.map((error) => jsonLine(failureDocument(error)).trimEnd()),
    jsonDocument({ [hostile]: hostile }).replaceAll("\n", ""),
    commandLine([hostile]),
  ];
  for (const line of printed) strictEqual(line, printable(line));
  deepStrictEqual(JSON.parse(jsonDocument({ [hostile]: hostile })), { [hostile]: hostile });
  ok(commandLine([hostile]).endsWith(String.raw` $'a\u001b[2J\u009b31m\u202eb\u200f\'c'`));
});
