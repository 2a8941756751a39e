import { allOptions, flagOf, migrationCommands } from "../../config/internal.ts";
import { nextCommandLine } from "./next_command.ts";

/** A command in a sentence, with its flags and the values that can be typed as they are. */
const command = new RegExp(
  String
    .raw`\b(?:init|sync|verify|cleanup|cutover (?:prepare|rehearse|run|rollback|finish|status)|jobs attach [\w-]+)\b` +
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
 * The commands that remedies mention, complete and in the form in which this program was started:
 * `sync --retry` becomes `deno task start sync --retry --source …`. A bare verb is prose, unless
 * the remedy says what comes first and what then; one whose value is left open cannot be run. Of a
 * sequence, either all commands are given or none. Pure but for the form.
 *
 * @param remedies one a line
 */
export function remedyCommands(remedies: string, args: readonly string[]): readonly string[] {
  // the options of these say nothing about the two servers
  const knowsServers = migrationCommands.some((each) => each === args[0]);
  const found = remedies.split("\n").flatMap(commandsOf)
    .filter((text) => knowsServers || text.startsWith("jobs "));
  return [...new Set(found)].map((text) => nextCommandLine(splitWords(text), args));
}

function commandsOf(remedy: string): readonly string[] {
  const isSequence = /\bthen\b/.test(remedy);
  const found = [...remedy.matchAll(command)].map(({ 0: text, index }) => ({
    text,
    isMeant: text.includes(" ") ||
      /(?:\b(?:run|with|then)|:) $/.test(remedy.slice(0, index)) &&
        (isSequence || remedy.startsWith(" first", index + text.length)),
  })).filter(({ isMeant }) => isMeant).map(({ text }) => text);
  const complete = found.filter((text) => !incomplete.test(text));
  return isSequence && complete.length < found.length ? [] : complete;
}

/**
 * Words of a sentence's command. Quotes group: single ones are the shell's and dropped, double ones
 * belong to a name.
 */
function splitWords(text: string): readonly string[] {
  return [...text.matchAll(/'([^']*)'|((?:"[^"]*"|[^\s"])+)/g)]
    .map(([, quoted, bare]) => quoted ?? bare ?? "");
}
