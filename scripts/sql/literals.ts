/**
 * Finds the string and template literals of a TypeScript file, with the position of each character
 * in the file.
 *
 * A scanner, not a parser: it only recognizes comments, the three kinds of quotes, and regular
 * expressions.
 *
 * @module
 */

/**
 * Represents an expression in a template. SQL's lexer treats it as a letter, so it can be a name or
 * part of one.
 */
export const hole = "\u{e000}";

/** A literal, or several joined by `+`. */
export interface Literal {
  /**
   * The text at run time, except that escapes are kept and expressions are {@linkcode hole}.
   */
  readonly text: string;
  /** The position in the file of each character of `text`. */
  readonly offsets: readonly number[];
}

/** Words after which a slash starts a regular expression. */
const beforeRegExp =
  /(?:^|[^\w$.])(?:return|typeof|case|in|of|do|else|void|delete|throw|yield|await)$/;

/** Finds the literals of a file, including those within expressions of templates. */
export function literalsOf(source: string): readonly Literal[] {
  return new Scanner(source).scan();
}

interface Draft {
  text: string;
  offsets: number[];
}

class Scanner {
  readonly #source: string;
  readonly #found: Draft[] = [];
  #at = 0;

  constructor(source: string) {
    this.#source = source;
  }

  scan(): readonly Literal[] {
    this.#code(() => false);
    return this.#found;
  }

  /** Reads code to its end, or to an unmatched closing brace. */
  #code(ends: (character: string) => boolean): void {
    const source = this.#source;
    let depth = 0;
    /** The code since the last literal; if it is `+`, the next literal is joined to it. */
    let between = "";
    let last: Draft | undefined;
    while (this.#at < source.length) {
      const character = source.charAt(this.#at);
      if (depth === 0 && ends(character)) return;
      if (source.startsWith("//", this.#at)) {
        this.#skipTo("\n", 0);
      } else if (source.startsWith("/*", this.#at)) {
        this.#skipTo("*/", 2);
      } else if (character === '"' || character === "'" || character === "`") {
        const joined = between.trim() === "+" ? last : undefined;
        last = this.#literal(character, joined);
        between = "";
      } else if (character === "/" && this.#beginsRegExp(between, last !== undefined)) {
        this.#regExp();
        between += "/";
        last = undefined;
      } else {
        if (character === "{") depth++;
        if (character === "}") depth--;
        between += character;
        this.#at++;
      }
    }
  }

  #skipTo(mark: string, beyond: number): void {
    const end = this.#source.indexOf(mark, this.#at + 2);
    this.#at = end < 0 ? this.#source.length : end + beyond;
  }

  #beginsRegExp(code: string, afterLiteral: boolean): boolean {
    const before = code.trimEnd();
    if (before === "") return !afterLiteral;
    return /[([{},;=:!&|?+*%<>~^-]$/.test(before) || beforeRegExp.test(before);
  }

  #regExp(): void {
    let inClass = false;
    for (this.#at++; this.#at < this.#source.length; this.#at++) {
      const character = this.#source.charAt(this.#at);
      if (character === "\\") this.#at++;
      else if (character === "[") inClass = true;
      else if (character === "]") inClass = false;
      else if (character === "/" && !inClass) break;
    }
    this.#at++;
  }

  #literal(quote: string, joined: Draft | undefined): Draft {
    const draft = joined ?? { text: "", offsets: [] };
    if (joined === undefined) this.#found.push(draft);
    const add = (text: string, offset: number) => {
      draft.text += text;
      for (let index = 0; index < text.length; index++) draft.offsets.push(offset + index);
    };
    for (this.#at++; this.#at < this.#source.length;) {
      const character = this.#source.charAt(this.#at);
      if (character === quote) break;
      if (character === "\\") {
        this.#escape(add);
      } else if (quote === "`" && this.#source.startsWith("${", this.#at)) {
        add(hole, this.#at);
        this.#at += 2;
        this.#code((next) => next === "}");
        this.#at++;
      } else {
        add(character, this.#at++);
      }
    }
    this.#at++;
    return draft;
  }

  /** Decodes escapes that matter to SQL's lexer: line ends and quotes. */
  #escape(add: (text: string, offset: number) => void): void {
    const next = this.#source.charAt(this.#at + 1);
    if (next === "n") add("\n", this.#at);
    else if (next !== "\n") add(next, this.#at + 1);
    this.#at += 2;
  }
}
