import { commandNames, flagOf, optionsOf } from "../../config/internal.ts";
import { redact } from "../../core/internal.ts";
import { ruleOptions } from "./next_command.ts";
import { readArguments } from "./run_arguments.ts";

/**
 * What has to be added to printed commands before they are run: passwords that are not shown, and
 * the rules of `init` where the current command takes none. Pure.
 *
 * @param commands as they are printed
 * @param args the arguments of the current command
 */
export function commandNotes(
  commands: readonly string[],
  args: readonly string[],
): readonly string[] {
  const read = readArguments(args);
  const hidden = read.filter(({ given, words }) =>
    given?.option.kind !== "list" && words.some((word) => redact(word) !== word)
  );
  const isHidden = hidden.length > 0 && commands.some((each) => each.includes("***"));
  const variables = [
    ...new Set(
      hidden.flatMap(({ given }) =>
        given?.option.variable === undefined
          ? []
          : [`leave out ${flagOf(given.name, given.option)} and set ${given.option.variable}`]
      ),
    ),
  ];
  const isFromFile = read.some(({ given }) => given?.name === "config");
  const needsRules = !takesRules(args) && !isFromFile &&
    commands.some((each) => takesRules(each.split(" ")));
  return [
    ...(isHidden ? [`(${["*** stands for a password", ...variables].join("; or ")})`] : []),
    ...(needsRules ? ["(add the rules for tables and rows that init was given, if any)"] : []),
  ];
}

/** Whether the command among these words takes rules for tables. */
function takesRules(words: readonly string[]): boolean {
  const command = words.map((word) => commandNames.find((each) => each === word))
    .find((each) => each !== undefined);
  return command !== undefined &&
    optionsOf(command).some(({ name }) => ruleOptions.includes(name));
}
