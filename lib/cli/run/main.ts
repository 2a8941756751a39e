import type { CommandName } from "../../config/internal.ts";
import { ExitCode, exitCodeOf, type Problem, UsageError } from "../../core/internal.ts";
import { completionScript } from "../grammar/completions.ts";
import { nameKinds } from "../grammar/name_kinds.ts";
import type { CommandContext, CommandRunner, Exit } from "../context.ts";
import { resolveShell } from "../options/completions_options.ts";
import { readConfigFile } from "../options/config_file.ts";
import {
  type Environment,
  readEnvironment,
  readFile,
  readVariable,
} from "../options/environment.ts";
import { failureDocument, failureLines, withoutConnectionStrings } from "../print/failure.ts";
import type { RawOptions } from "../grammar/grammar.ts";
import { OptionReader } from "../options/option_reader.ts";
import { type OutputOptions, readOutputOptions } from "../options/output_options.ts";
import { operatorCommands } from "./operator_commands.ts";
import { parseArguments, type Parsed } from "../grammar/parse.ts";
import { nextCommandLine } from "../print/next_command.ts";
import { printJson, tableOptions } from "../print/print.ts";
import { openProgress } from "../terminal/progress.ts";
import { listenForSignals } from "../terminal/signals.ts";
import { openTerminal, type Terminal } from "../terminal/terminal.ts";

/** Each is loaded on use: loading all of them would delay the answer to a typo. */
const runners: Readonly<Record<Exclude<CommandName, "completions">, CommandRunner>> = {
  validate: async (...given) => await (await import("./run_validate.ts")).runValidate(...given),
  init: async (...given) => await (await import("./run_init.ts")).runInit(...given),
  sync: async (...given) => await (await import("./run_sync.ts")).runSync(...given),
  status: async (...given) => await (await import("./run_status.ts")).runStatus(...given),
  verify: async (...given) => await (await import("./run_verify.ts")).runVerify(...given),
  cutover: async (...given) => await (await import("./run_cutover.ts")).runCutover(...given),
  cleanup: async (...given) => await (await import("./run_cleanup.ts")).runCleanup(...given),
  jobs: async (...given) => await (await import("./run_jobs.ts")).runJobs(...given),
  ...operatorCommands,
  demo: async (...given) => await (await import("./run_demo.ts")).runDemo(...given),
};

/**
 * Runs the command line and resolves to the exit code. Results go to stdout, everything else to
 * stderr.
 *
 * @param args the arguments, without the program's name
 */
export async function main(
  args: readonly string[],
  { exit }: { readonly exit: Exit },
): Promise<ExitCode> {
  const environment = readEnvironment();
  const terminal = openTerminal(environment, { color: !args.includes("--no-color") });
  let results: Readonly<Record<string, unknown>> = {};
  let json = args.includes("--json");
  let reader: OptionReader | undefined;
  const ofRun = { args };
  try {
    const { isTerminal, size } = terminal.stdout;
    const parsed = parseArguments(args[0] === "-v" ? ["-V", ...args.slice(1)] : args, {
      columns: isTerminal ? size().columns : 80,
    });
    if (parsed.kind === "print") {
      if (json && isVersionFlag(args[0])) {
        const { versionDocument } = await import("../print/version.ts");
        printJson(terminal, versionDocument());
      } else terminal.stdout.write(parsed.text);
      return ExitCode.success;
    }
    if (parsed.kind === "wrong") throw new UsageError(parsed.problems);
    if (parsed.name === "completions") {
      return await printCompletions(parsed, { terminal, environment });
    }
    reader = new OptionReader(
      parsed.options,
      parsed.problems,
      parsed.commandArguments,
    );
    await readConfigFile(reader, { readFile, lookUp: readVariable });
    const output = readOutputOptions(reader);
    json = output.json;
    return await runCommand(runners[parsed.name], {
      ofRun,
      reader,
      output,
      terminal,
      environment,
      exit,
      addToFailure: (more) => results = more,
    });
  } catch (thrown) {
    const error = withoutConnectionStrings(thrown, {
      args,
      areUrlsResolved: reader?.isResolved ?? false,
    });
    const lines = failureLines(error, { ...tableOptions(terminal.stderr), args: ofRun.args });
    terminal.stderr.write(`${lines.join("\n")}\n`);
    if (json) printJson(terminal, { ...failureDocument(error), ...results });
    return exitCodeOf(error);
  }
}

async function runCommand(
  runner: CommandRunner,
  { ofRun, reader, output, terminal, environment, exit, addToFailure }: {
    /** The arguments, until a selection replaces them. */
    readonly ofRun: { args: readonly string[] };
    readonly reader: OptionReader;
    readonly output: OutputOptions;
    readonly terminal: Terminal;
    readonly environment: Environment;
    readonly exit: Exit;
    readonly addToFailure: CommandContext["addToFailure"];
  },
): Promise<ExitCode> {
  using progress = openProgress(terminal.stderr, output, environment);
  using signals = listenForSignals({
    onFirst: () => progress.print("Stopping cleanly; press Ctrl-C again to stop immediately."),
    exit: (code) => {
      if (ofRun.args[0] === "cutover" satisfies CommandName) {
        progress.print(
          `Stopped immediately. Which side accepts writes: ${
            nextCommandLine("cutover status", ofRun.args)
          }`,
        );
      }
      progress[Symbol.dispose]();
      exit(code);
    },
  });
  reader.onWarning = (message) => progress.take({ kind: "warning", message });
  return await runner(reader, {
    terminal,
    get args() {
      return ofRun.args;
    },
    replaceArgs: (args) => ofRun.args = args,
    output,
    progress,
    addToFailure,
    run: { events: progress.take, signal: signals.signal },
    resolve: {
      environment,
      cpuCount: navigator.hardwareConcurrency,
      canAsk: terminal.canAsk,
      now: new Date(),
    },
  });
}

function isVersionFlag(argument: string | undefined): boolean {
  return argument === "--version" || argument === "-V" || argument === "-v";
}

async function printCompletions(
  { options, commandArguments, problems }: Parsed & {
    readonly kind: "command";
    readonly options: RawOptions;
    readonly problems: readonly Problem[];
  },
  { terminal, environment }: { readonly terminal: Terminal; readonly environment: Environment },
): Promise<ExitCode> {
  const kind = nameKinds.find((each) => each === commandArguments[0]);
  if (kind !== undefined) {
    const { completeNames } = await import("./complete_names.ts");
    const names = await completeNames({ kind, prefix: commandArguments[1] ?? "" }, environment);
    terminal.stdout.write(names.map((name) => `${name}\n`).join(""));
    return ExitCode.success;
  }
  const shell = resolveShell(new OptionReader(options, problems), commandArguments);
  terminal.stdout.write(completionScript(shell));
  return ExitCode.success;
}
