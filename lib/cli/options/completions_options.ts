import { notOneOf, type OptionReader } from "./option_reader.ts";
import { type Shell, shells } from "../grammar/commands.ts";

/** @throws UsageError unless the argument names a shell with completions */
export function resolveShell(reader: OptionReader, [text]: readonly string[]): Shell {
  const shell = shells.find((each) => each === text);
  if (shell === undefined && text !== undefined) {
    reader.problem("completions", notOneOf(text, shells));
  }
  reader.done();
  return shell ?? "bash";
}
