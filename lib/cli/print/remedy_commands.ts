import { allOptions, flagOf } from "../../config/internal.ts";
import { nextCommandLine } from "./next_command.ts";

/** A command in a sentence, with its flags and the values that can be typed as they are. */
const command = new RegExp(
  String
    .raw`\b(?:init|sync|verify|cleanup|cutover (?:prepare|rehearse|run|rollback|finish|status))\b` +
    String
      .raw`(?: --[a-z][a-z-]*(?: (?:[0-9A-F]+/[0-9A-F]+|'[^']*'|(?:[\w$]+|"[^"]*")(?:\.(?:[\w$]+|"[^"]*"))+))?)*`,
  "g",
);

/** An option whose value the sentence leaves open. */
const incomplete = new RegExp(
  `(?:${
    allOptions.filter(({ option }) => "placeholder" in option)
      .map(({ name, option }) => flagOf(name, option)).join("|")
  })(?= --|$)`,
);

/**
 * The commands that a remedy mentions, complete and in the form in which this program was started:
 * `sync --retry` becomes `deno task start sync --retry --source …`. A bare verb is prose, and one
 * whose value is left open cannot be run: both are left out. Pure but for the form.
 */
export function remedyCommands(remedy: string, args: readonly string[]): readonly string[] {
  const found = [...remedy.matchAll(command)].map(([text]) => text)
    .filter((text) => text.includes(" ") && !incomplete.test(text));
  return [...new Set(found)].map((text) => nextCommandLine(splitWords(text), args));
}

/**
 * Words of a sentence's command. Quotes group: single ones are the shell's and dropped, double ones
 * belong to a name.
 */
function splitWords(text: string): readonly string[] {
  return [...text.matchAll(/'([^']*)'|((?:"[^"]*"|[^\s"])+)/g)]
    .map(([, quoted, bare]) => quoted ?? bare ?? "");
}
