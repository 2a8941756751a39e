import { deepStrictEqual } from "node:assert/strict";
import * as help from "../../../lib/cli/grammar/help.ts";
import * as remoteHelp from "../../../lib/cli/grammar/remote_help.ts";

Deno.test("what follows the options on a help page fits a terminal of 80 columns", () => {
  const wide = [...Object.values(help), ...Object.values(remoteHelp)]
    .flatMap((page) => page.split("\n"))
    .filter((line) => line.length > 80);
  deepStrictEqual(wide, []);
});
