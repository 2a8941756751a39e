import {
  parseBytes,
  parseDuration,
  type Problem,
  suggest,
  UsageError,
} from "../../core/internal.ts";
import {
  type Config,
  flagOf,
  minimums,
  type NameOfKind,
  type Option,
  type OptionName,
  optionNamed,
  type OptionTable,
} from "../../config/internal.ts";
import type { RawOptions } from "../grammar/grammar.ts";
import { splitNames } from "./split_names.ts";

/** The value of an option; undefined where it was not given and has no default. */
type Value<Name extends OptionName, Given> = OptionTable[Name] extends { readonly word: string }
  ? Given | undefined
  : OptionTable[Name] extends { readonly default: string } ? Given
  : Given | undefined;

type ValuesOf<Name extends OptionName> = OptionTable[Name] extends
  { readonly values: readonly (infer Each)[] } ? Each : never;

/**
 * Reads typed options by the option table and collects every problem; an invalid value reads as the
 * default.
 */
export class OptionReader {
  readonly problems: Problem[];
  /** Names of the variables that the configuration file takes values from, such as passwords. */
  readonly fileVariables: string[] = [];
  readonly #raw: RawOptions;
  /** Whether the grammar found a problem. */
  readonly #isMisread: boolean;
  #config: Config | undefined;
  #isResolved = false;
  #onWarning: (message: string) => void = () => {};
  readonly #warned = new Set<string>();

  /** Arguments after the command that are not options. */
  readonly words: readonly string[];

  constructor(
    raw: RawOptions,
    problems: readonly Problem[] = [],
    words: readonly string[] = [],
  ) {
    this.#raw = raw;
    this.problems = [...problems];
    this.#isMisread = problems.length > 0;
    this.words = words;
  }

  problem(path: string, message: string): void {
    // an option that was misspelled may be the one that makes consent unnecessary
    if (path === "--yes" && this.#isMisread) return;
    this.problems.push({ path, message });
  }

  /** Warns once for each message, by `onWarning`. */
  readonly warn = (message: string): void => {
    if (this.#warned.has(message)) return;
    this.#warned.add(message);
    this.#onWarning(message);
  };

  /** Sets where warnings go. */
  set onWarning(onWarning: (message: string) => void) {
    this.#onWarning = onWarning;
  }

  /** Sets the file that provides values for options without a flag. */
  useFile(config: Config): void {
    this.#config = config;
  }

  /** The configuration file, if one was given. */
  get config(): Config | undefined {
    return this.#config;
  }

  /** Whether a flag or the file provides a value. */
  given(name: OptionName): boolean {
    return this.#typed(name) !== undefined;
  }

  /** Whether the option was given on the command line. */
  typed(name: OptionName): boolean {
    const value = this.#raw[name];
    return value !== undefined && value !== false;
  }

  flag(name: NameOfKind<"flag" | "negation">): boolean {
    return this.#raw[name] === true;
  }

  text<Name extends NameOfKind<"text" | "url">>(name: Name): Value<Name, string> {
    return this.#read(name, { parse: (text) => text, problem: () => "" }) as Value<Name, string>;
  }

  list(name: NameOfKind<"list" | "names" | "pairs">): readonly string[] {
    const value = this.#raw[name];
    return Array.isArray(value) ? value : [];
  }

  /** Names separated by commas; a name in double quotes may contain one (`"a,b"`, `"a""b"`). */
  names(
    name: NameOfKind<"names">,
    { unquote = true }: { readonly unquote?: boolean } = {},
  ): readonly string[] {
    const names = this.list(name).flatMap((value) => splitNames(value, { unquote }));
    if (names.some((each) => each === "")) {
      this.problem(flagOf(name, optionNamed(name)), "contains an empty name");
    }
    return names.filter((each) => each !== "");
  }

  /** Also undefined for the word that is allowed instead of a number. */
  integer<Name extends NameOfKind<"integer">>(name: Name): Value<Name, number> {
    const { min, max, word } = optionNamed(name) as Option & { readonly kind: "integer" };
    const text = this.#typed(name);
    if (word !== undefined && (text === undefined || text === word)) {
      return undefined as Value<Name, number>;
    }
    return this.#read(name, {
      parse: (text) => {
        const value = /^\d+$/.test(text) ? Number(text) : NaN;
        return value >= min && value <= max ? value : undefined;
      },
      problem: (text) => `"${text}" is not a whole number from ${min} to ${max}`,
    }) as Value<Name, number>;
  }

  /** Bytes, a megabyte or more; a bare number means megabytes. */
  size<Name extends NameOfKind<"size">>(name: Name): Value<Name, number> {
    return this.#read(name, {
      parse: (text) => atLeast(minimums.size, parseMegabytes(text)),
      problem: (text) => `"${text}" is not a size of at least 1MB (like 500MB or 2GB)`,
    }) as Value<Name, number>;
  }

  /** Bytes; only 0 needs no unit. */
  exactSize(name: NameOfKind<"exactSize">): number | undefined {
    return this.#read(name, {
      parse: (text) => text !== "0" && /^\d+$/.test(text) ? undefined : parseBytes(text),
      problem: (text) => `"${text}" is not a size with a unit (like 64MB or 2GB)`,
    });
  }

  /** Bytes per second, from `50MB` or `50MB/s`; the unit of size is required. */
  rate(name: NameOfKind<"rate">): number | undefined {
    return this.#read(name, {
      parse: (text) => {
        const size = text.replace(/\s*\/\s*s$/i, "");
        return /^\d+$/.test(size) ? undefined : atLeast(minimums.rate, parseBytes(size));
      },
      problem: (text) =>
        `"${text}" is not a rate with a unit of at least 64kB per second (like 50MB or 50MB/s)`,
    });
  }

  /** Milliseconds. */
  duration<Name extends NameOfKind<"duration">>(name: Name): Value<Name, number> {
    return this.#read(name, {
      parse: (text) => atLeast(minimums.duration, parseDuration(text)),
      problem: (text) =>
        `"${text}" is not a duration of at least 100ms (like 500ms, 30s, 10min or 2h)`,
    }) as Value<Name, number>;
  }

  choice<Name extends NameOfKind<"choice">>(name: Name): Value<Name, ValuesOf<Name>> {
    const { values } = optionNamed(name) as Option & { readonly kind: "choice" };
    return this.#read(name, {
      parse: (text) => values.find((each) => each === text),
      problem: (text) => notOneOf(text, values),
    }) as Value<Name, ValuesOf<Name>>;
  }

  /** The value of any option with a single value, in the unit of its kind. */
  value(name: OptionName): boolean | number | string | undefined {
    const { kind } = optionNamed(name);
    const as = <Kind extends Option["kind"]>() => name as NameOfKind<Kind>;
    switch (kind) {
      case "flag":
      case "negation":
        return this.flag(as<"flag">());
      case "text":
      case "url":
        return this.text(as<"text">());
      case "choice":
        return this.choice(as<"choice">());
      case "integer":
        return this.integer(as<"integer">());
      case "size":
        return this.size(as<"size">());
      case "exactSize":
        return this.exactSize(as<"exactSize">());
      case "rate":
        return this.rate(as<"rate">());
      case "duration":
        return this.duration(as<"duration">());
      default:
        return undefined;
    }
  }

  /** Throws every problem found so far. */
  done(): void {
    if (this.problems.length > 0) throw new UsageError(this.problems);
    this.#isResolved = true;
  }

  /** Whether all options were found valid, URLs included. */
  get isResolved(): boolean {
    return this.#isResolved;
  }

  #typed(name: OptionName): string | undefined {
    const value = this.#raw[name];
    return typeof value === "string" ? value : this.#config?.options[name];
  }

  #read<Parsed>(
    name: OptionName,
    { parse, problem }: {
      /** Undefined for an invalid text. */
      readonly parse: (text: string) => Parsed | undefined;
      readonly problem: (text: string) => string;
    },
  ): Parsed | undefined {
    const text = this.#typed(name);
    const value = text === undefined ? undefined : parse(text);
    if (value !== undefined) return value;
    if (text !== undefined) this.problem(this.#placeOf(name), problem(text));
    const option = optionNamed(name);
    return "default" in option && option.default !== undefined ? parse(option.default) : undefined;
  }

  /** Where the value was given: the flag, or a line of the file. */
  #placeOf(name: OptionName): string {
    const config = this.#config;
    return typeof this.#raw[name] === "string" || config?.options[name] === undefined
      ? flagOf(name, optionNamed(name))
      : config.place(name);
  }
}

/** The message for a word that is not among those allowed. */
export function notOneOf(text: string, words: readonly string[]): string {
  const [near] = suggest(text, words, 1);
  const hint = near === undefined ? "" : `; did you mean ${near}?`;
  return `"${text}" is not one of ${words.join(", ")}${hint}`;
}

function parseMegabytes(text: string): number | undefined {
  return parseBytes(/^\d+$/.test(text) ? `${text}MB` : text);
}

function atLeast(min: number, value: number | undefined): number | undefined {
  return value !== undefined && value >= min ? value : undefined;
}
