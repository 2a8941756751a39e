import { commandNames, flagOf, optionsOf } from "../../config/internal.ts";
import { commandLine } from "./resume_command.ts";

/** Options that say which servers and databases, or which service. */
const kept = new Set([
  "--source",
  "--target",
  "--config",
  "--include-databases",
  "--exclude-databases",
  "--map",
  "--remote",
  "--database",
]);

/** Options that say which rows; `verify` must be given those of `init`. */
const rules = new Set([
  "--include-tables",
  "--exclude-tables",
  "--schema-only-tables",
  "--table-filter",
  "--time-filter",
]);

/**
 * The next command for the same servers and databases, quoted for a shell. Pure.
 *
 * @param next `cutover run`, or its words
 * @param args the arguments of the current command
 * @param options `withRules`: whether the command takes the rules too; `keeps`: further flags that
 * it takes
 */
export function nextCommandLine(
  next: string | readonly string[],
  args: readonly string[],
  { withRules = false, keeps = [] }: {
    readonly withRules?: boolean;
    readonly keeps?: readonly string[] | undefined;
  } = {},
): string {
  const words = typeof next === "string" ? next.split(" ") : next;
  const accepted = flagsOf(words[0]);
  const isKept = (flag: string) =>
    accepted.has(flag) &&
    (kept.has(flag) || withRules && rules.has(flag) || keeps.includes(flag));
  const same: string[] = [];
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] ?? "";
    const [flag = ""] = arg.split("=", 1);
    if (!isKept(flag)) continue;
    same.push(arg);
    const value = args[at + 1];
    if (!arg.includes("=") && value !== undefined) {
      same.push(value);
      at++;
    }
  }
  return commandLine([...words, ...same]);
}

/** The options that a command accepts: `status` and `cleanup` take no `--map`. */
function flagsOf(command: string | undefined): ReadonlySet<string> {
  const name = commandNames.find((each) => each === command);
  return new Set(
    name === undefined ? [] : optionsOf(name).map(({ name, option }) => flagOf(name, option)),
  );
}
