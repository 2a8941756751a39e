/** The defaults as values are those that the option table has as text. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { OptionReader } from "../../../lib/cli/options/option_reader.ts";
import { defaultJobs, optionDefaults } from "../../../lib/config/internal.ts";

Deno.test("optionDefaults has what the command line reads where nothing is given", () => {
  const reader = new OptionReader({});
  const { dumpTool, copyFormat, splitBytes, replicaIdentity, slotTimeoutMs } = optionDefaults;
  deepStrictEqual(
    [dumpTool, copyFormat, splitBytes, replicaIdentity, slotTimeoutMs],
    [
      reader.choice("dumpTool"),
      reader.choice("copyFormat"),
      reader.size("splitTablesLargerThan"),
      reader.choice("replicaIdentity"),
      reader.duration("slotTimeout"),
    ],
  );
  strictEqual(optionDefaults.restoreSearchPath, reader.choice("restoreSearchPath"));
  strictEqual(optionDefaults.maxDiffs, reader.integer("maxDiffs"));
  strictEqual(splitBytes, 268_435_456); // as documented in lib/api/inputs.ts
  strictEqual(slotTimeoutMs, 300_000);
});

Deno.test("defaultJobs() is the number of CPUs, from 1 to 8", () => {
  deepStrictEqual([0, 1, 6, 96].map(defaultJobs), [1, 1, 6, 8]);
});
