import { type Shell, shells } from "../grammar/grammar.ts";
import type { OptionReader } from "./option_reader.ts";

/** @throws UsageError unless the argument names a shell with completions */
export function resolveShell(reader: OptionReader, [text]: readonly string[]): Shell {
  const shell = shells.find((each) => each === text);
  if (shell === undefined && text !== undefined) {
    reader.problem("completions", `"${text}" is none of ${shells.join(", ")}`);
  }
  reader.done();
  return shell ?? "bash";
}
