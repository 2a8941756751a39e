import { type Command, createCommand, Option } from "@commander-js/extra-typings";
import {
  type CommandName,
  commandNames,
  describeOption,
  isRepeatable,
  optionGroups,
  optionsOf,
  usageOf,
} from "../../config/internal.ts";
import { toolVersion } from "../../core/internal.ts";
import { commandDescriptions } from "./commands.ts";
import { overviewHelp } from "./help.ts";
import { programName } from "./program.ts";

/** What the user typed for a command: text that is not checked yet. */
export type RawOptions = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

/** Receives the command that was named, with its options and arguments. */
export type OnCommand = (
  name: CommandName,
  options: RawOptions,
  commandArguments: readonly string[],
) => void;

// deno-lint-ignore no-explicit-any -- extra-typings gives every chain its own type; the values are read as RawOptions
type AnyCommand = Command<any, any, any>;

/**
 * The grammar of the command line. No option has a default or a check here: {@linkcode
 * OptionReader} does both, so that every problem is reported at once.
 */
export function buildGrammar(onCommand: OnCommand): Command {
  const program = createCommand(programName)
    .description("Moves running PostgreSQL databases from one server to another.")
    .version(toolVersion, "-V, --version", "print the version and exit")
    .helpOption("-h, --help", "print this page and exit")
    .helpCommand("help [command]", "explain a command")
    .configureHelp({ sortSubcommands: false, showGlobalOptions: false })
    .addHelpText("after", overviewHelp);
  for (const name of commandNames) addCommand(program, { name, onCommand });
  return program as unknown as Command;
}

const lastGroup = optionGroups.at(-1)?.[0] ?? "Options";

function addCommand(
  program: AnyCommand,
  { name, onCommand }: { readonly name: CommandName; readonly onCommand: OnCommand },
): void {
  const { summary, description, notes, commandArguments } = commandDescriptions[name];
  const command: AnyCommand = program.command(name)
    .summary(summary)
    .description(description)
    .addHelpOption(
      new Option("-h, --help", "print this page and exit").helpGroup(`${lastGroup}:`),
    )
    .addHelpText("after", notes);
  for (const { usage, help } of commandArguments) command.argument(usage, help);
  for (const { name: optionName, group, option } of optionsOf(name)) {
    const added = new Option(usageOf(optionName, option), describeOption(option, name))
      .helpGroup(`${group}:`);
    command.addOption(isRepeatable(option) ? added.argParser(collect) : added);
    if (option.formerName !== undefined) {
      // parse.ts reads it as the current name
      command.addOption(new Option(usageOf(option.formerName, option)).hideHelp());
    }
  }
  command.action((...given: unknown[]) => {
    // commander passes the arguments, then the options, then the command
    const words = given.slice(0, -2).filter((each) => typeof each === "string");
    onCommand(name, given.at(-2) as RawOptions, words);
  });
}

/**
 * The values of a repeatable option so far.
 *
 * @param value undefined if it is missing, which is reported on its own
 */
function collect(
  value: string | undefined,
  previous: readonly string[] = [],
): readonly string[] {
  return value === undefined ? previous : [...previous, value];
}
