/**
 * The arguments of a command as options, so that another command can be given some of them.
 *
 * @module
 */
import { allOptions, flagOf, type NamedOption, type OptionName } from "../../config/internal.ts";

/** An option as it was typed, or an argument that is none. */
export interface GivenArgument {
  readonly given: NamedOption | undefined;
  /** The flag, and its value if that stands apart. */
  readonly words: readonly string[];
}

const byFlag: ReadonlyMap<string, NamedOption> = new Map(
  allOptions.flatMap((named) => {
    const { name, option } = named;
    const flags = [name, option.formerName ?? name].map((each) => flagOf(each, option));
    return [...flags, option.short ?? []].flat().map((flag) => [flag, named] as const);
  }),
);

/** The arguments in their order, each with the option that it gives. Pure. */
export function readArguments(args: readonly string[]): readonly GivenArgument[] {
  const read: GivenArgument[] = [];
  const words = args.flatMap((arg, at) =>
    args.slice(0, at).includes("--") ? [arg] : separateFlags(arg)
  );
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? "";
    if (word === "--") {
      read.push({ given: undefined, words: words.slice(at) });
      break;
    }
    const given = byFlag.get(word.startsWith("--") ? word.replace(/=.*$/s, "") : word);
    const value = words[at + 1];
    if (given === undefined || !takesValue(given) || word.includes("=") || value === undefined) {
      read.push({ given, words: [word] });
    } else {
      read.push({ given, words: [word, value] });
      at++;
    }
  }
  return read;
}

function takesValue({ option }: NamedOption): boolean {
  return option.kind !== "flag" && option.kind !== "negation";
}

/** `-yj4` → `-y`, `-j`, `4`. */
function separateFlags(arg: string): readonly string[] {
  const given = /^-\w./.test(arg) ? byFlag.get(arg.slice(0, 2)) : undefined;
  if (given === undefined) return [arg];
  const rest = arg.slice(2);
  return [arg.slice(0, 2), ...(takesValue(given) ? [rest] : separateFlags(`-${rest}`))];
}

/** The arguments without some options and their values. Pure. */
export function omitOptions(
  args: readonly string[],
  names: readonly OptionName[],
): readonly string[] {
  return readArguments(args)
    .filter(({ given }) => given === undefined || !names.includes(given.name))
    .flatMap(({ words }) => words);
}

/** The arguments with what was selected in the terminal in place of `--interactive`. Pure. */
export function withSelection(
  args: readonly string[],
  selection: readonly string[],
): readonly string[] {
  return [...omitOptions(args, ["interactive"]), ...selection];
}
