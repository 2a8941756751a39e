import { megabyte } from "../../core/internal.ts";
import type { CommandName } from "./command_names.ts";

/** An option of the command line. */
export type Option = OptionKind & {
  /** One line for `--help`: lower case, no full stop, without default, range and repeatability. */
  readonly help: string;
  /** Where the same option means something else: the line of that command. */
  readonly helpFor?: Partial<Readonly<Record<CommandName, string>>>;
  readonly commands: readonly CommandName[];
  readonly short?: `-${string}`;
  /** The option's former name: its flag is still accepted, but not documented. */
  readonly formerName?: string;
  /** An environment variable that gives the value as well. */
  readonly variable?: string;
  /** Present where a configuration file may give the value; the key is {@linkcode keyOf}. */
  readonly config?: { readonly description: string; readonly example: ConfigExample };
  /** Present where a job of a service has it. */
  readonly job?: JobField;
};

/** An example value in TOML. */
export type ConfigExample =
  | string
  | number
  | readonly string[]
  | Readonly<Record<string, string>>;

/** An option in the options of a job. */
export interface JobField {
  /** Of a duration, `…_ms` is in milliseconds, others are in seconds. */
  readonly name: string;
  readonly commands: readonly CommandName[];
}

/** What an option takes. The default is written as a user would type it. */
export type OptionKind =
  /** On or off; off unless given. */
  | { readonly kind: "flag" }
  /** `--no-NAME`; on unless given. */
  | { readonly kind: "negation" }
  | {
    readonly kind: "url";
    readonly placeholder: string;
    /** What a computed default is, in words. */
    readonly defaultText?: string;
  }
  | {
    readonly kind: "text";
    readonly placeholder: string;
    readonly default?: string;
    readonly defaultText?: string;
    /** What shells complete it with. */
    readonly completes?: "file" | "folder";
    /** Words that its value may consist of; shells complete it with them. */
    readonly suggests?: readonly string[];
    /** On another machine, so a relative path has no meaning. */
    readonly isAbsolutePath?: true;
  }
  | {
    readonly kind: "choice";
    readonly placeholder: string;
    readonly values: readonly [string, ...string[]];
    readonly default?: string;
  }
  | {
    readonly kind: "integer";
    readonly placeholder: string;
    readonly min: number;
    readonly max: number;
    readonly default?: string;
    readonly defaultText?: string;
    /** A word that may be given in place of a number. */
    readonly word?: string;
  }
  /** Bytes, a megabyte at least; a bare number means megabytes. */
  | { readonly kind: "size"; readonly placeholder: string; readonly default: string }
  /** Bytes, with a unit. */
  | { readonly kind: "exactSize"; readonly placeholder: string }
  /** Bytes a second; a bare number means megabytes. */
  | { readonly kind: "rate"; readonly placeholder: string }
  | { readonly kind: "duration"; readonly placeholder: string; readonly default?: string }
  /** Separated by commas, and repeatable. */
  | {
    readonly kind: "names";
    readonly placeholder: string;
    /** Names of the source that shells complete it with. */
    readonly completes?: "databases" | "tables";
  }
  /** Repeatable. */
  | { readonly kind: "list"; readonly placeholder: string }
  /** NAME=NAME; separated by commas, and repeatable. */
  | { readonly kind: "pairs"; readonly placeholder: string };

/** The smallest value of a kind, in the unit of its values. */
export const minimums = {
  /** Bytes. */
  size: megabyte,
  /** Bytes per second: a slower copy would never finish. */
  rate: 64 * 1024,
  /** Milliseconds. */
  duration: 100,
} as const;

/** Options by name. */
export type Options = Readonly<Record<string, Option>>;

/** Whether a duration is in milliseconds in a job; otherwise it is in seconds. */
export function isInMilliseconds({ name }: JobField): boolean {
  return name.endsWith("_ms");
}

/** `--index-jobs` for `indexJobs`; `--no-resume` for a negation named `resume`. */
export function flagOf(name: string, { kind }: Pick<Option, "kind">): string {
  const words = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return kind === "negation" ? `--no-${words}` : `--${words}`;
}

/** The key of a configuration file: `index_jobs` for `indexJobs`. */
export function keyOf(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Whether the option may be given more than once. */
export function isRepeatable({ kind }: Pick<Option, "kind">): boolean {
  return kind === "names" || kind === "list" || kind === "pairs";
}

/** `-j, --jobs <N>`: the option as shown on help pages. */
export function usageOf(name: string, option: Option): string {
  const flag = flagOf(name, option);
  const value = "placeholder" in option ? ` <${option.placeholder}>` : "";
  return `${option.short === undefined ? "" : `${option.short}, `}${flag}${value}`;
}

/** Larger maximums only prevent mistakes and are not shown in the help. */
const maxShownBound = 1000;

/** The option's line in the help of a command. */
export function describeOption(option: Option, command?: CommandName): string {
  const help = (command === undefined ? undefined : option.helpFor?.[command]) ?? option.help;
  const facts = [...valueFacts(option), ...defaultFacts(option)];
  return facts.length === 0 ? help : `${help} (${facts.join("; ")})`;
}

function valueFacts(option: Option): readonly string[] {
  switch (option.kind) {
    case "choice":
      return [option.values.join(", ")];
    case "integer": {
      if (option.max > maxShownBound) return [];
      const word = option.word === undefined ? "" : `, or ${option.word}`;
      return [`${option.min} to ${option.max}${word}`];
    }
    case "names":
    case "pairs":
      return ["comma-separated, repeatable"];
    case "list":
      return ["repeatable"];
    default:
      return [];
  }
}

function defaultFacts(option: Option): readonly string[] {
  const variable = option.variable === undefined ? [] : [`variable: ${option.variable}`];
  const value = ("defaultText" in option ? option.defaultText : undefined) ??
    ("default" in option ? option.default : undefined);
  return value === undefined ? variable : [...variable, `default: ${value}`];
}
