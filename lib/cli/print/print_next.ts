import type { CommandContext } from "../context.ts";
import { fitCommand } from "./fit_command.ts";
import { nextCommandLine } from "./next_command.ts";
import { tableOptions } from "./print.ts";
import { commandLine, commandToResume } from "./resume_command.ts";
import { remedyCommands } from "./remedy_commands.ts";

/**
 * Ends a command with the next one, complete, on stderr; nothing where a program reads the result.
 * It can be run as it is printed.
 */
export function printNext(
  command: string | readonly string[],
  { args, terminal, output }: CommandContext,
  { withRules = false }: { readonly withRules?: boolean } = {},
): void {
  if (output.json || output.logFormat !== "text") return;
  write(nextCommandLine(command, args, { withRules }), terminal);
}

function write(command: string, { stderr }: Pick<CommandContext["terminal"], "stderr">): void {
  const lines = fitCommand(command, { ...tableOptions(stderr), label: "Next: " });
  stderr.write(`${lines.join("\n")}\n`);
}

/** Ends a command with the same one, to be run again once what it has reported is mended. */
export function printSameAgain({ args, terminal, output }: CommandContext): void {
  if (output.json || output.logFormat !== "text") return;
  terminal.stderr.write(`Next, once the causes are removed: ${commandToResume(args)}\n`);
}

/** Ends `--dry-run` with the same command without it. */
export function printRealRun({ args, terminal, output }: CommandContext): void {
  if (output.json || output.logFormat !== "text") return;
  write(commandLine(args.filter((arg) => arg !== "--dry-run")), terminal);
}

/** The commands that remedies mention, as they can be run; `otherwise` if they mention none. */
export function printRemedies(
  remedies: readonly string[],
  context: CommandContext,
  { otherwise }: { readonly otherwise?: string | undefined } = {},
): void {
  const { args, terminal, output } = context;
  if (output.json || output.logFormat !== "text") return;
  const commands = new Set(remedies.flatMap((remedy) => remedyCommands(remedy, args)));
  if (commands.size === 0) {
    return otherwise === undefined ? undefined : printNext(otherwise, context);
  }
  const lines = [...commands].slice(0, maxCommands).flatMap((command) =>
    fitCommand(command, { ...tableOptions(terminal.stderr), label: "  " })
  );
  terminal.stderr.write(`Commands mentioned above:\n${lines.join("\n")}\n`);
}

const maxCommands = 5;
