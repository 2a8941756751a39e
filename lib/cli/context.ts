import type { ExitCode } from "../core/internal.ts";
import type { RunContext } from "../commands/shared/run.ts";
import type { ProgressDisplay } from "../ui/mod.ts";
import type { ResolveContext } from "./options/copy_options.ts";
import type { OptionReader } from "./options/option_reader.ts";
import type { OutputOptions } from "./options/output_options.ts";
import type { Terminal } from "./terminal/terminal.ts";

/** Ends the process immediately. */
export type Exit = (code: ExitCode) => void;

/** What a command runs with. */
export interface CommandContext {
  readonly terminal: Terminal;
  /**
   * The arguments of this run: as they were typed, or with what was selected in the terminal in
   * place of `--interactive`.
   */
  readonly args: readonly string[];
  /** Sets the arguments of this run. */
  readonly replaceArgs: (args: readonly string[]) => void;
  readonly output: OutputOptions;
  readonly progress: ProgressDisplay;
  readonly run: RunContext;
  readonly resolve: ResolveContext;
  /** With `--json`: adds results to the document of the error that ends the command. */
  readonly addToFailure: (results: Readonly<Record<string, unknown>>) => void;
}

/** Runs a command: resolves its options, runs it, prints, and returns the exit code. */
export type CommandRunner = (reader: OptionReader, context: CommandContext) => Promise<ExitCode>;
