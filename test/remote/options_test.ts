import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { parseArguments } from "../../lib/cli/grammar/parse.ts";

for (
  const [command, option, key] of [
    [["worker"], "--most-running", "maxRunning"],
    [["keys", "create"], "--most-running", "maxRunning"],
    [["keys", "create"], "--most-queued", "maxQueued"],
  ] as const
) {
  Deno.test(`${command.join(" ")} accepts ${option}, the former name of an option`, () => {
    const parsed = parseArguments([...command, option, "3"], { columns: 80 });
    strictEqual(parsed.kind, "command");
    strictEqual(parsed.options[key], "3");
    strictEqual(parsed.problems.length, 0);
  });
}

Deno.test("an option and its former name cannot be combined", () => {
  const parsed = parseArguments(["worker", "--max-running", "3", "--most-running", "4"], {
    columns: 80,
  });
  strictEqual(parsed.kind, "command");
  deepStrictEqual(parsed.problems, [{
    path: "--most-running",
    message: "is the former name of --max-running: give only one of them",
  }]);
});
