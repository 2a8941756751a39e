import { CommanderError } from "@commander-js/extra-typings";
import { type CommandName, flagOf, optionsOf } from "../../config/internal.ts";
import { type Problem, suggest } from "../../core/internal.ts";
import { buildGrammar, type RawOptions } from "./grammar.ts";

/** What the arguments request. */
export type Parsed =
  | { readonly kind: "print"; readonly text: string }
  | {
    readonly kind: "command";
    readonly name: CommandName;
    readonly options: RawOptions;
    readonly commandArguments: readonly string[];
    /** Problems of the grammar; the values are not checked yet. */
    readonly problems: readonly Problem[];
  }
  | { readonly kind: "wrong"; readonly problems: readonly Problem[] };

type Grammar = ReturnType<typeof buildGrammar>;

/**
 * Parses the arguments. Neither prints nor exits: commander is prevented from doing either.
 *
 * @param columns the width of help pages
 */
export function parseArguments(
  args: readonly string[],
  { columns }: { readonly columns: number },
): Parsed {
  const problems: Problem[] = [];
  let command: Omit<Parsed & { kind: "command" }, "problems"> | undefined;
  let printed = "";
  const program = buildGrammar((name, options, commandArguments) => {
    command = { kind: "command", name, options, commandArguments };
  });
  for (const each of [program, ...program.commands] as Grammar[]) {
    collectProblems(each, { problems, lastArgument: args.at(-1) ?? "" });
    each.configureOutput({
      writeOut: (text) => printed += text,
      writeErr: (text) => printed += text,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
      getOutHelpWidth: () => columns,
      getErrHelpWidth: () => columns,
    });
  }
  const [first] = args;
  if (first === undefined) return parseArguments(["--help"], { columns });
  const wrongCommand = checkCommand(program, args);
  if (wrongCommand !== undefined) return { kind: "wrong", problems: wrongCommand };

  const known = program.commands.find((each) => each.name() === first) as Grammar | undefined;
  const { kept, unknown } = known === undefined || asksForHelp(args)
    ? { kept: args, unknown: [] }
    : withoutUnknownOptions(known, args);
  problems.push(...unknown);
  try {
    program.parse([...kept], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return { kind: "print", text: printed };
  }
  if (command === undefined) return { kind: "wrong", problems };
  const { options, repeated } = withCurrentNames(command);
  return { ...command, options, problems: [...problems, ...repeated] };
}

/** Former names of options replaced by current ones, and the options that have both. */
function withCurrentNames(
  { name: command, options }: Pick<Parsed & { kind: "command" }, "name" | "options">,
): { readonly options: RawOptions; readonly repeated: readonly Problem[] } {
  const former = optionsOf(command).flatMap(({ name, option }) => {
    const { formerName = name } = option;
    return formerName === name || options[formerName] === undefined
      ? []
      : [{ name, formerName, option }];
  });
  return {
    options: {
      ...Object.fromEntries(former.map(({ name, formerName }) => [name, options[formerName]])),
      ...options,
    },
    repeated: former.filter(({ name }) => options[name] !== undefined).map(
      ({ name, formerName, option }) => ({
        path: flagOf(formerName, option),
        message: `is the former name of ${flagOf(name, option)}: give only one of them`,
      }),
    ),
  };
}

/**
 * Makes commander report a problem and continue, where it would print the first problem and exit:
 * after each check it proceeds as if it had passed.
 */
function collectProblems(
  command: Grammar,
  { problems, lastArgument }: {
    readonly problems: Problem[];
    readonly lastArgument: string;
  },
): void {
  command.exitOverride();
  const collect = (message: string, { code = "" }: { readonly code?: string } = {}) => {
    problems.push(problemOf(command, { code, message, lastArgument }));
  };
  command.error = collect as Grammar["error"];
}

function problemOf(
  command: Grammar,
  { code, message, lastArgument }: {
    readonly code: string;
    readonly message: string;
    readonly lastArgument: string;
  },
): Problem {
  switch (code) {
    case "commander.excessArguments": {
      const excess = command.args.slice(command.registeredArguments.length).join(", ");
      return {
        path: command.name(),
        message: `does not take "${excess}"; names and URLs follow an option`,
      };
    }
    case "commander.optionMissingArgument": {
      // only the last argument can lack a value: any other takes the next one
      const option = optionAtEnd(command, lastArgument);
      if (option === undefined) break;
      const value = /<.*>/.exec(option.flags)?.[0] ?? "";
      return { path: option.long ?? option.flags, message: `needs a value: ${value}` };
    }
    case "commander.missingArgument": {
      const missing = command.registeredArguments.slice(command.args.length)
        .find(({ required }) => required);
      if (missing === undefined) break;
      return {
        path: command.name(),
        message: `needs <${missing.name()}>: ${missing.description}`,
      };
    }
  }
  return { path: command.name(), message: message.replace(/^error: /, "") };
}

/** The option that an argument names: `--jobs`, `-j`, or the last letter of `-yj`. */
function optionAtEnd(command: Grammar, argument: string): Grammar["options"][number] | undefined {
  const letter = `-${argument.at(-1)}`;
  return command.options.find(({ long, short }) =>
    long === argument || !argument.startsWith("--") && short === letter
  );
}

function asksForHelp(args: readonly string[]): boolean {
  return args.includes("--help") || args.includes("-h");
}

/** Problems of the command's name, or of options given before it; undefined if there are none. */
function checkCommand(program: Grammar, args: readonly string[]): readonly Problem[] | undefined {
  const names = [...program.commands.map((each) => each.name()), "help"];
  const [first = ""] = args;
  if (names.includes(first)) {
    const [, second] = args;
    if (first !== "help" || second === undefined || names.includes(second)) return undefined;
    return [{ path: "help", message: unknownWord("command", second, names) }];
  }
  if (!first.startsWith("-")) {
    return [{ path: "command", message: unknownWord("command", first, names) }];
  }
  if (["-h", "--help", "-V", "--version"].includes(first)) return undefined;
  const later = args.find((each) => names.includes(each));
  const flag = flagPart(first);
  return [{
    path: flag,
    message: `options come after the command: ${later ?? "init"} ${flag} …`,
  }];
}

function unknownWord(what: string, word: string, candidates: readonly string[]): string {
  const near = [...suggest(word, candidates, 1)];
  if (near.length === 0) near.push(...candidates.filter((each) => isNear(word, each)));
  return `no ${what} "${word}"; ` +
    (near.length > 0
      ? `did you mean ${near.join(" or ")}?`
      : `must be one of ${candidates.join(", ")}`);
}

/**
 * Transposed letters (`inti`) or a missing end (`valid`): too far by edit distance in short words.
 */
function isNear(word: string, candidate: string): boolean {
  const letters = (text: string) => [...text].sort().join("");
  return letters(word) === letters(candidate) || word.length > 1 && candidate.startsWith(word);
}

/** Removes options that the command does not have, each with what appears to be its value. */
function withoutUnknownOptions(
  command: Grammar,
  args: readonly string[],
): { readonly kept: readonly string[]; readonly unknown: readonly Problem[] } {
  const flags = new Map(
    command.options.flatMap((option) =>
      [option.short, option.long].flatMap((flag) => flag ? [[flag, option.required] as const] : [])
    ),
  );
  const kept: string[] = [];
  const unknown: Problem[] = [];
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] ?? "";
    if (arg === "--") {
      kept.push(...args.slice(at));
      break;
    }
    const flag = flagPart(arg);
    const takesValue = flags.get(flag);
    const hasExcessValue = takesValue === false && arg.startsWith("--") && arg.includes("=");
    const isShortGroup = /^-\w.+/.test(arg) && flags.has(arg.slice(0, 2));
    if (
      !arg.startsWith("-") || arg === "-" || takesValue !== undefined && !hasExcessValue ||
      isShortGroup
    ) {
      kept.push(arg);
      // the next argument is its value, even if it looks like an option
      const next = args[at + 1];
      if (takesValue === true && !arg.includes("=") && next !== undefined && !isFlag(next)) {
        kept.push(next);
        at++;
      }
      continue;
    }
    const near = suggest(flag, [...flags.keys()].filter((each) => each.startsWith("--")), 1);
    if (takesValue === false) {
      unknown.push({ path: flag, message: "takes no value" });
      continue;
    }
    unknown.push({
      path: flag,
      message: `${command.name()} has no such option` +
        (near.length > 0 ? `; did you mean ${near.join(" or ")}?` : ""),
    });
    const next = args[at + 1];
    if (!arg.includes("=") && next !== undefined && !next.startsWith("-")) at++;
  }
  return { kept, unknown };

  function isFlag(text: string): boolean {
    return flags.has(flagPart(text));
  }
}

/** `--jobs=4` → `--jobs`: the value may be a secret. */
function flagPart(arg: string): string {
  return /^(--?[^=]*)/.exec(arg)?.[1] ?? arg;
}
