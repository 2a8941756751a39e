import type { ExitCode } from "../core/internal.ts";
import type { RunContext } from "../commands/shared/run.ts";
import type { ProgressDisplay } from "../ui/mod.ts";
import type { ResolveContext } from "./options/copy_options.ts";
import type { OptionReader } from "./options/option_reader.ts";
import type { OutputOptions } from "./options/output_options.ts";
import type { Terminal } from "./terminal/terminal.ts";

/** Ends the process at once. */
export type Exit = (code: ExitCode) => void;

/** What the commands of the command line run with. */
export interface CommandContext {
  readonly terminal: Terminal;
  /** The arguments as they were typed. */
  readonly args: readonly string[];
  readonly output: OutputOptions;
  readonly progress: ProgressDisplay;
  readonly run: RunContext;
  readonly resolve: ResolveContext;
  /** With `--json`: what the document of the error that ends the command has beside it. */
  readonly addToFailure: (results: Readonly<Record<string, unknown>>) => void;
}

/** A command of the command line: resolves its options, runs, prints, and says how it ended. */
export type CommandRunner = (reader: OptionReader, context: CommandContext) => Promise<ExitCode>;
