import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { commandNames } from "../../../lib/config/internal.ts";
import * as help from "../../../lib/cli/grammar/help.ts";
import { parseArguments } from "../../../lib/cli/grammar/parse.ts";
import * as remoteHelp from "../../../lib/cli/grammar/remote_help.ts";

function helpPage(command: string, columns: number): string {
  const parsed = parseArguments(["help", command], { columns });
  ok(parsed.kind === "print");
  return parsed.text;
}

Deno.test("the notes of help pages fit a terminal of 80 columns", () => {
  const wide = [...Object.values(help), ...Object.values(remoteHelp)]
    .flatMap((page) => page.split("\n"))
    .filter((line) => line.length > 80);
  deepStrictEqual(wide, []);
});

Deno.test("help pages use the width of the terminal", () => {
  for (const command of commandNames) {
    for (const columns of [80, 132]) {
      const longest = Math.max(
        ...helpPage(command, columns).split("\n").map(({ length }) => length),
      );
      ok(longest <= columns, `${command}: ${longest} of ${columns} columns`);
    }
  }
  ok(helpPage("init", 132).split("\n").length < helpPage("init", 80).split("\n").length);
});

Deno.test("the help of init groups its options", () => {
  const headings = helpPage("init", 80).split("\n").filter((line) => /^[A-Z][\w ]+:$/.test(line));
  deepStrictEqual(headings.slice(0, headings.indexOf("Examples:")), [
    "Connection:",
    "What to copy:",
    "Speed:",
    "Replication:",
    "Safety:",
    "Remote:",
    "Output:",
  ]);
});

Deno.test("problems of the grammar name the option or command and what is missing", () => {
  const problemsOf = (...args: string[]) => {
    const parsed = parseArguments(args, { columns: 80 });
    ok(parsed.kind !== "print");
    return parsed.problems.map(({ path, message }) => `${path}: ${message}`);
  };
  deepStrictEqual(problemsOf("init", "--jobs"), ["--jobs: needs a value: <N>"]);
  deepStrictEqual(problemsOf("init", "-yj"), ["--jobs: needs a value: <N>"]);
  deepStrictEqual(problemsOf("init", "--map"), ["--map: needs a value: <SOURCE=TARGET>"]);
  deepStrictEqual(problemsOf("init", "app", "--yes", "shop"), [
    'init: does not take "app, shop"; names and URLs follow an option',
  ]);
  strictEqual(
    problemsOf("keys")[0],
    "keys: needs <action>: create, list, rotate, revoke, rotate-encryption",
  );
});
