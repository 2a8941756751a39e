import {
  describeError,
  errorMessage,
  exitCodeOf,
  InterruptedError,
  type Problem,
  redact,
  ReplicatorError,
  toolVersion,
  UsageError,
} from "../../core/internal.ts";
import { fitLines, makeStyle, printable } from "../../ui/mod.ts";
import { programName, reportPlace } from "../grammar/program.ts";
import { commandNotes } from "./command_notes.ts";
import { fitCommand } from "./fit_command.ts";
import { remedyCommands } from "./remedy_commands.ts";
import { commandLine } from "./resume_command.ts";

/**
 * An error as lines for stderr, broken at spaces; commands that its remedy mentions follow as they
 * can be run.
 */
export function failureLines(
  error: unknown,
  { color, args, columns = Infinity }: {
    readonly color: boolean;
    /** The width of the terminal. */
    readonly columns?: number;
    /** The arguments of the command that failed; without them, no commands follow. */
    readonly args?: readonly string[];
  },
): string[] {
  const style = makeStyle(color);
  const fit = (lines: readonly string[]) => [...fitLines(lines, { columns })];
  const commands = args === undefined || !(error instanceof ReplicatorError)
    ? []
    : completeCommands(remediesOf(error), { args, columns });
  if (error instanceof InterruptedError) {
    return [
      ...fit([
        style.yellow(`Ended: ${printable(error.message)}.`),
        ...error.details.map((line) => `  ${printable(redact(line))}`),
        ...(error.remedy === undefined ? [] : [`  → ${printable(error.remedy)}`]),
      ]),
      ...commands,
    ];
  }
  if (error instanceof UsageError) {
    return fit([
      ...error.problems.map(redactProblem)
        .map(({ path, message }) => `${style.red("✗")} ${printable(`${path}: ${message}`)}`),
      ...(error.remedy === undefined ? [] : [`  → ${printable(error.remedy)}`]),
      `Nothing was changed. "${commandLine(["help"])}" lists commands and options.`,
    ]);
  }
  const [first = "", ...rest] = describeError(error).flatMap((line) => redact(line).split("\n"))
    .map(printable);
  if (error instanceof ReplicatorError) {
    return [...fit([`${style.red("✗")} ${first}`, ...rest]), ...commands];
  }
  return fit([
    `${style.red("✗")} Internal error: ${first}`,
    ...rest,
    `This is a bug in ${programName} ${toolVersion}. Please report it with the lines above to ${reportPlace}.`,
  ]);
}

/** The commands of remedies as they can be run, and what has to be added to them. */
function completeCommands(
  remedies: readonly string[],
  { args, columns }: { readonly args: readonly string[]; readonly columns: number },
): readonly string[] {
  const commands = remedyCommands(remedies.join("\n"), args);
  const notes = commandNotes(commands, args).map((note) => `    ${note}`);
  return [
    ...commands.flatMap((each) => fitCommand(each, { columns, label: "    " })),
    ...fitLines(notes, { columns }),
  ];
}

/** The remedy of an error, and those among its details. */
function remediesOf({ remedy = "", details }: ReplicatorError): readonly string[] {
  return [...details.filter((line) => /^(?:\S+:)?\s*→ /.test(line)), remedy];
}

/** An error as the one JSON document of `--json`. */
export function failureDocument(error: unknown): Readonly<Record<string, unknown>> {
  const exitCode = exitCodeOf(error);
  if (!(error instanceof ReplicatorError)) {
    const text = errorMessage(error);
    const stack = error instanceof Error ? error.stack ?? "" : "";
    return {
      error: {
        message: redact(text),
        side: null,
        object: null,
        remedy: `report it to ${reportPlace}`,
        details: stack === "" ? [] : redact(stack).split("\n").slice(1).map((line) => line.trim()),
        exitCode,
      },
    };
  }
  return {
    error: {
      message: redact(error.message),
      side: error.side ?? null,
      object: error.object ?? null,
      remedy: error.remedy ?? null,
      details: error.details.map(redact),
      exitCode,
      ...(error instanceof UsageError ? { problems: error.problems.map(redactProblem) } : {}),
    },
  };
}

/** Text in the wrong place may have been a URL with its password. */
function redactProblem({ path, message }: Problem): Problem {
  return { path: redact(path), message: redact(message) };
}

/**
 * A usage error that quotes no argument containing a connection string: in the wrong place, that
 * string may have been split before it is quoted, and its password may contain any character. Once
 * all options are valid, later errors come from a server that has accepted its URL: that was read
 * as intended, `redact` recognizes its password, and the database that it names can be shown.
 */
export function withoutConnectionStrings(
  error: unknown,
  { args, areUrlsResolved }: {
    readonly args: readonly string[];
    readonly areUrlsResolved: boolean;
  },
): unknown {
  if (!(error instanceof UsageError)) return error;
  const isAccepted = (arg: string, at: number) =>
    areUrlsResolved &&
    (/^--(source|target)=/.test(arg) || /^--(source|target)$/.test(args[at - 1] ?? ""));
  const secrets = args
    .filter((arg, at) => !isAccepted(arg, at))
    .filter((arg) => /:\/\/|password\s*=/i.test(arg))
    .flatMap((arg) => [arg, arg.replace(/^--?[\w-]+=/, ""), ...arg.split(/[=,:;@/?&\s"']+/)])
    .filter((text) => text.length >= minSecretLength && !/^--[a-z-]+$|^postgres(?:ql)?$/.test(text))
    .sort((one, other) => other.length - one.length);
  if (secrets.length === 0) return error;
  const hide = (text: string) =>
    secrets.reduce((hidden, secret) => hidden.replaceAll(secret, "(not shown)"), text);
  return new UsageError(
    error.problems.map(({ path, message }) => ({ path: hide(path), message: hide(message) })),
    error.remedy,
  );
}

/** Shorter pieces remain: they reveal nothing, and words of the message may contain them. */
const minSecretLength = 4;
