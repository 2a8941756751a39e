import type { CommandContext } from "../context.ts";
import { commandNotes } from "./command_notes.ts";
import { fitCommand } from "./fit_command.ts";
import { nextCommandLine } from "./next_command.ts";
import { printLines, tableOptions } from "./print.ts";
import { commandLine, commandToResume } from "./resume_command.ts";
import { remedyCommands } from "./remedy_commands.ts";
import { omitOptions } from "./run_arguments.ts";

/**
 * Ends a command with the next one, complete, on stderr; nothing where a program reads the result.
 * It can be run as it is printed.
 */
export function printNext(
  command: string | readonly string[],
  context: CommandContext,
  { label = "Next: ", note }: {
    readonly label?: string;
    /** What has to be known before it is run. */
    readonly note?: string | undefined;
  } = {},
): void {
  const notes = note === undefined ? [] : [note];
  print([nextCommandLine(command, context.args)], { context, label, notes });
}

/** Ends a command with the same one, to be run again once what it has reported is mended. */
export function printSameAgain(context: CommandContext): void {
  const label = "Next, once the causes are removed: ";
  print([commandToResume(context.args)], { context, label });
}

/** Ends `--dry-run` with the same command without it. */
export function printRealRun(context: CommandContext): void {
  const command = commandLine(omitOptions(context.args, ["dryRun"]));
  print([command], { context, label: "Next: " });
}

/** The commands that remedies mention, as they can be run; `otherwise` if they mention none. */
export function printRemedies(
  remedies: readonly string[],
  context: CommandContext,
  { otherwise }: { readonly otherwise?: string | undefined } = {},
): void {
  const commands = new Set(remedies.flatMap((remedy) => remedyCommands(remedy, context.args)));
  if (commands.size === 0) {
    return otherwise === undefined ? undefined : printNext(otherwise, context);
  }
  const title = "Commands mentioned above:";
  print([...commands].slice(0, maxCommands), { context, label: "  ", title });
}

const maxCommands = 5;

/** The command that resumes the one that was interrupted, whatever the format of the output. */
export function resumeLines({ args, terminal: { stderr } }: CommandContext): readonly string[] {
  const command = commandToResume(args);
  return [
    ...fitCommand(command, { ...tableOptions(stderr), label: "  " }),
    ...commandNotes([command], args).map((note) => `  ${note}`),
  ];
}

function print(
  commands: readonly string[],
  { context: { args, terminal, output }, label, title, notes = [] }: {
    readonly context: CommandContext;
    /** Stands before each command. */
    readonly label: string;
    readonly title?: string;
    readonly notes?: readonly string[];
  },
): void {
  if (output.json || output.logFormat !== "text") return;
  const { stderr } = terminal;
  if (title !== undefined) printLines(stderr, [title]);
  const lines = commands.flatMap((command) =>
    fitCommand(command, { ...tableOptions(stderr), label })
  );
  stderr.write(`${lines.join("\n")}\n`);
  const all = [...notes, ...commandNotes(commands, args)];
  if (all.length > 0) printLines(stderr, all.map((note) => `  ${note}`));
}
