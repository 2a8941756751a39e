import {
  parseBytes,
  parseDuration,
  type Problem,
  suggest,
  UsageError,
} from "../../core/internal.ts";
import type { Config } from "../../config/internal.ts";
import type { RawOptions } from "../grammar/grammar.ts";

/** What a configuration file gives. */
export interface FileOptions {
  readonly config: Config;
  /** Texts of options, as flags would have given them. */
  readonly values: Readonly<Record<string, string | undefined>>;
  /** Where an option was written, for messages. */
  readonly place: (option: string) => string;
}

/** A megabyte. */
export const megabyte: number = 1 << 20;
/** Below this a second a copy would not come to an end. */
const minRate = 64 * 1024;

/**
 * Reads typed options and notes everything that is wrong with them; what is wrong reads as its
 * default.
 */
export class OptionReader {
  readonly problems: Problem[];
  readonly #raw: RawOptions;
  #file: FileOptions | undefined;

  /** What follows the command without being an option. */
  readonly words: readonly string[];

  constructor(
    raw: RawOptions,
    problems: readonly Problem[] = [],
    words: readonly string[] = [],
  ) {
    this.#raw = raw;
    this.problems = [...problems];
    this.words = words;
  }

  problem(path: string, message: string): void {
    this.problems.push({ path, message });
  }

  /** Lets a file say what no flag says. */
  useFile(file: FileOptions): void {
    this.#file = file;
  }

  /** The configuration file, if there is one. */
  get config(): Config | undefined {
    return this.#file?.config;
  }

  /** Where the option's value comes from. */
  #pathOf(key: string, path: string): string {
    const file = this.#file;
    return typeof this.#raw[key] === "string" || file?.values[key] === undefined
      ? path
      : file.place(key);
  }

  flag(key: string): boolean {
    return this.#raw[key] === true;
  }

  text(key: string): string | undefined {
    const value = this.#raw[key];
    return typeof value === "string" ? value : this.#file?.values[key];
  }

  list(key: string): readonly string[] {
    const value = this.#raw[key];
    return Array.isArray(value) ? value : [];
  }

  /** Names separated by commas; a name in double quotes may contain one (`"a,b"`, `"a""b"`). */
  names(
    key: string,
    path: string,
    { unquote = true }: { readonly unquote?: boolean } = {},
  ): readonly string[] {
    const names = this.list(key).flatMap((value) => splitNames(value, { unquote }));
    if (names.some((name) => name === "")) this.problem(path, "has an empty name in it");
    return names.filter((name) => name !== "");
  }

  whole(
    key: string,
    { path, least, most, fallback }: {
      readonly path: string;
      readonly least: number;
      readonly most: number;
      readonly fallback: number;
    },
  ): number {
    const text = this.text(key);
    if (text === undefined) return fallback;
    const value = /^\d+$/.test(text) ? Number(text) : NaN;
    if (value >= least && value <= most) return value;
    this.problem(
      this.#pathOf(key, path),
      `"${text}" is not a whole number from ${least} to ${most}`,
    );
    return fallback;
  }

  /** A size of a megabyte or more; a bare number means megabytes, for nobody means bytes by it. */
  bytes(
    key: string,
    { path, fallback }: { readonly path: string; readonly fallback: number },
  ): number {
    const text = this.text(key);
    if (text === undefined) return fallback;
    const bytes = parseBytes(/^\d+$/.test(text) ? `${text}MB` : text);
    if (bytes !== undefined && bytes >= megabyte) return bytes;
    this.problem(
      this.#pathOf(key, path),
      `"${text}" is no size of 1MB or more (like 500MB or 2GB)`,
    );
    return fallback;
  }

  /** A time of a tenth of a second or more; returns milliseconds. */
  duration(
    key: string,
    { path, fallback }: { readonly path: string; readonly fallback: number },
  ): number {
    const text = this.text(key);
    if (text === undefined) return fallback;
    const ms = parseDuration(text);
    if (ms !== undefined && ms >= 100) return ms;
    this.problem(this.#pathOf(key, path), `"${text}" is no time (like 30s, 10min or 2h)`);
    return fallback;
  }

  /** A size with its unit; undefined when it is not given. */
  size(key: string, path: string): number | undefined {
    const text = this.text(key);
    if (text === undefined) return undefined;
    const bytes = text !== "0" && /^\d+$/.test(text) ? undefined : parseBytes(text);
    if (bytes === undefined) {
      this.problem(
        this.#pathOf(key, path),
        `"${text}" is no size with its unit (like 64MB or 2GB)`,
      );
    }
    return bytes;
  }

  /** A size a second, `50MB` or `50MB/s`; undefined when it is not given. */
  rate(key: string, path: string): number | undefined {
    const text = this.text(key);
    if (text === undefined) return undefined;
    const size = text.replace(/\s*\/\s*s$/i, "");
    const bytes = parseBytes(/^\d+$/.test(size) ? `${size}MB` : size);
    if (bytes !== undefined && bytes >= minRate) return bytes;
    this.problem(
      this.#pathOf(key, path),
      `"${text}" is no rate of 64kB a second or more (like 50MB or 50MB/s)`,
    );
    return undefined;
  }

  choice<Value extends string>(
    key: string,
    { path, values, fallback }: {
      readonly path: string;
      readonly values: readonly Value[];
      readonly fallback: Value;
    },
  ): Value {
    const text = this.text(key);
    if (text === undefined) return fallback;
    const value = values.find((each) => each === text);
    if (value !== undefined) return value;
    const [near] = suggest(text, values, 1);
    this.problem(
      this.#pathOf(key, path),
      `"${text}" is none of ${values.join(", ")}` +
        (near === undefined ? "" : `; did you mean ${near}?`),
    );
    return fallback;
  }

  /** Throws everything that was wrong. */
  done(): void {
    if (this.problems.length > 0) throw new UsageError(this.problems);
  }
}

/** Splits at separators outside double quotes. */
export function splitNames(
  text: string,
  { separator = ",", unquote = true }: {
    readonly separator?: string;
    readonly unquote?: boolean;
  } = {},
): readonly string[] {
  const parts: string[] = [];
  let part = "";
  let quoted = false;
  for (const character of text) {
    if (character === '"') quoted = !quoted;
    if (character === separator && !quoted) {
      parts.push(part);
      part = "";
    } else part += character;
  }
  parts.push(part);
  return parts.map((each) => unquote ? unquoteName(each.trim()) : each.trim());
}

function unquoteName(text: string): string {
  return /^".*"$/s.test(text) ? text.slice(1, -1).replaceAll('""', '"') : text;
}
