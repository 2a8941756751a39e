import { redact } from "../../core/internal.ts";
import { printable } from "../../ui/mod.ts";
import { omitOptions, readArguments } from "./run_arguments.ts";
import { startedAs } from "./started_as.ts";

/**
 * The same command for another attempt, quoted for a shell; passwords are redacted. What it resumes
 * has been dropped already, and must not be dropped once it is complete and in use.
 */
export function commandToResume(args: readonly string[]): string {
  return commandLine(omitOptions(args, ["resume", "dropExisting"]));
}

/**
 * A command with its arguments in the form in which the program was started, quoted for a shell;
 * passwords are redacted.
 */
export function commandLine(args: readonly string[]): string {
  const shown = readArguments(args).flatMap(({ given, words }) =>
    // a condition on a column "password" is not a secret; a changed one would select other rows
    given?.option.kind === "list" ? words : words.map(redact)
  );
  return [...startedAs(), ...shown].map(quote).join(" ");
}

function quote(arg: string): string {
  if (printable(arg) !== arg) return `$'${Array.from(arg, escapeCharacter).join("")}'`;
  return /^[\w@%+=:,./-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", "'\\''")}'`;
}

/** A character of a string that the shell unescapes (`$'…'`): what is printed is what it reads. */
function escapeCharacter(character: string): string {
  if (character === "\\" || character === "'") return `\\${character}`;
  return printable(character) === character
    ? character
    : `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
