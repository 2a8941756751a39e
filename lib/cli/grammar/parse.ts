import { CommanderError } from "@commander-js/extra-typings";
import { type Problem, suggest } from "../../core/internal.ts";
import { buildGrammar, type CommandName, type RawOptions } from "./grammar.ts";

/** What the arguments ask for. */
export type Parsed =
  | { readonly kind: "print"; readonly text: string }
  | {
    readonly kind: "command";
    readonly name: CommandName;
    readonly options: RawOptions;
    readonly commandArguments: readonly string[];
    /** What is wrong so far; there may be more wrong in the values. */
    readonly problems: readonly Problem[];
  }
  | { readonly kind: "wrong"; readonly problems: readonly Problem[] };

type Grammar = ReturnType<typeof buildGrammar>;

/**
 * Reads the arguments. Prints nothing and never exits: commander's ways of doing so are taken from
 * it.
 */
export function parseArguments(args: readonly string[]): Parsed {
  const problems: Problem[] = [];
  let command: Omit<Parsed & { kind: "command" }, "problems"> | undefined;
  let printed = "";
  const program = buildGrammar((name, options, commandArguments) => {
    command = { kind: "command", name, options, commandArguments };
  });
  for (const each of [program, ...program.commands] as Grammar[]) {
    collectProblems(each, problems);
    each.configureOutput({
      writeOut: (text) => printed += text,
      writeErr: (text) => printed += text,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
  }
  const [first] = args;
  if (first === undefined) return parseArguments(["--help"]);
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
  return { ...command, problems };
}

/**
 * Makes commander note what is wrong and go on, where it would print the first problem and exit.
 */
function collectProblems(command: Grammar, problems: Problem[]): void {
  command.exitOverride();
  const note = (message: string) => {
    const text = message.replace(/^error: /, "");
    const flag = /'(?:-\w, )?(--[\w-]+)/.exec(text)?.[1];
    problems.push({ path: flag ?? command.name(), message: reword(text) });
  };
  // commander goes on after each of its checks as if all were well, which then only adds what else
  // is wrong
  command.error = note as Grammar["error"];
}

function reword(text: string): string {
  const excess = /^too many arguments for .* got \d+: (.*)\.$/s.exec(text);
  if (excess !== null) return `does not take "${excess[1]}"; names and URLs follow an option`;
  const missing = /^option '(?:-\w, )?--[\w-]+ <([\w=-]+)>' argument missing$/.exec(text);
  return missing === null ? text : `needs a value: <${missing[1]}>`;
}

function asksForHelp(args: readonly string[]): boolean {
  return args.includes("--help") || args.includes("-h");
}

/**
 * What is wrong with the command's name, or with options given in its place; undefined when all is
 * well.
 */
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
  const flag = flagOf(first);
  return [{
    path: flag,
    message: `options come after the command: ${later ?? "init"} ${flag} …`,
  }];
}

function unknownWord(what: string, word: string, candidates: readonly string[]): string {
  const near = [...suggest(word, candidates, 1)];
  if (near.length === 0) near.push(...candidates.filter((each) => isNear(word, each)));
  return `there is no ${what} "${word}"; ` +
    (near.length > 0 ? `did you mean ${near.join(" or ")}?` : `there are ${candidates.join(", ")}`);
}

/**
 * Two letters swapped (`inti`) or the end left out (`valid`), which edit distance finds too far for
 * short words.
 */
function isNear(word: string, candidate: string): boolean {
  const letters = (text: string) => [...text].sort().join("");
  return letters(word) === letters(candidate) || word.length > 1 && candidate.startsWith(word);
}

/**
 * Takes options that the command does not have out of the arguments, each with the value that seems
 * to be its own.
 */
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
    const flag = flagOf(arg);
    const takesValue = flags.get(flag);
    const isShortGroup = /^-\w.+/.test(arg) && flags.has(arg.slice(0, 2));
    if (!arg.startsWith("-") || arg === "-" || takesValue !== undefined || isShortGroup) {
      kept.push(arg);
      // what follows is its value, even one that looks like an option
      const next = args[at + 1];
      if (takesValue === true && !arg.includes("=") && next !== undefined && !isFlag(next)) {
        kept.push(next);
        at++;
      }
      continue;
    }
    const near = suggest(flag, [...flags.keys()].filter((each) => each.startsWith("--")), 1);
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
    return flags.has(flagOf(text));
  }
}

/** `--jobs=4` → `--jobs`: the value may be a secret and is not repeated. */
function flagOf(arg: string): string {
  return /^(--?[^=]*)/.exec(arg)?.[1] ?? arg;
}
