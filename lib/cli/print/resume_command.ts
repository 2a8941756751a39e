import { redact } from "../../core/internal.ts";
import { startedAs } from "./started_as.ts";

/** The same command for another attempt, quoted for a shell; passwords are redacted. */
export function commandToResume(args: readonly string[]): string {
  return commandLine(args.filter((arg) => arg !== "--no-resume"));
}

/**
 * A command with its arguments in the form in which the program was started, quoted for a shell;
 * passwords are redacted.
 */
export function commandLine(args: readonly string[]): string {
  return [...startedAs(), ...args].map((arg) => quote(redact(arg))).join(" ");
}

function quote(arg: string): string {
  return /^[\w@%+=:,./-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", "'\\''")}'`;
}
