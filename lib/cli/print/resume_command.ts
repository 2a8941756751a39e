import { redact } from "../../core/internal.ts";
import { programName } from "../grammar/program.ts";

/** The same command for another attempt, as a shell takes it; passwords are not shown. */
export function commandToGoOn(args: readonly string[]): string {
  const again = args.filter((arg) => arg !== "--no-resume").map((arg) => quote(redact(arg)));
  return [programName, ...again].join(" ");
}

function quote(arg: string): string {
  return /^[\w@%+=:,./-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", "'\\''")}'`;
}
