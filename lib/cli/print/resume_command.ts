import { redact } from "../../core/internal.ts";
import { programName } from "../grammar/program.ts";

/** The same command for another attempt, quoted for a shell; passwords are redacted. */
export function commandToResume(args: readonly string[]): string {
  const again = args.filter((arg) => arg !== "--no-resume").map((arg) => quote(redact(arg)));
  return [programName, ...again].join(" ");
}

function quote(arg: string): string {
  return /^[\w@%+=:,./-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", "'\\''")}'`;
}
