import { redact } from "../../core/internal.ts";
import { programName } from "../grammar/program.ts";

/** The same command for another attempt, quoted for a shell; passwords are redacted. */
export function commandToResume(args: readonly string[]): string {
  return commandLine(args.filter((arg) => arg !== "--no-resume"));
}

/** A command with its arguments, quoted for a shell; passwords are redacted. */
export function commandLine(args: readonly string[]): string {
  return [programName, ...args.map((arg) => quote(redact(arg)))].join(" ");
}

function quote(arg: string): string {
  return /^[\w@%+=:,./-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", "'\\''")}'`;
}
