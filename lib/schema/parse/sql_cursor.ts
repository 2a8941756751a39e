/**
 * Walks over the tokens of a statement, for the few forms that the tool needs to parse.
 *
 * @module
 */
import { type Token, tokenize } from "../../core/internal.ts";

/** A position in a statement written by pg_dump; skips white space and comments. */
export class SqlCursor {
  readonly #sql: string;
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(sql: string) {
    this.#sql = sql;
    this.#tokens = [...tokenize(sql)].filter(({ kind }) =>
      kind !== "space" && kind !== "line-comment" && kind !== "block-comment"
    );
  }

  /** Consumes the words if they come next, ignoring case. */
  words(...words: readonly string[]): boolean {
    const matches = words.every((word, index) => {
      const token = this.#tokens[this.#at + index];
      return token?.kind === "word" && this.#text(token).toLowerCase() === word;
    });
    if (matches) this.#at += words.length;
    return matches;
  }

  /** Consumes an unquoted word and returns it in lower case. */
  word(): string | undefined {
    return this.#take("word")?.toLowerCase();
  }

  /** Consumes an identifier and returns the name. */
  identifier(): string | undefined {
    const quoted = this.#take("quoted-identifier");
    if (quoted !== undefined) return quoted.slice(1, -1).replaceAll('""', '"');
    return this.#take("word")?.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  }

  /** Consumes `name` or `schema.name`. */
  qualified(): { readonly schema: string | undefined; readonly name: string } | undefined {
    const first = this.identifier();
    if (first === undefined) return undefined;
    if (!this.symbol(".")) return { schema: undefined, name: first };
    const second = this.identifier();
    return second === undefined ? undefined : { schema: first, name: second };
  }

  /** Consumes a string literal and returns its value. */
  literal(): string | undefined {
    const literal = this.#take("string");
    return literal === undefined ? undefined : literalText(literal);
  }

  /** Consumes a number with its sign. */
  number(): number | undefined {
    const sign = this.symbol("-") ? -1 : 1;
    const digits = this.#take("number");
    return digits === undefined ? undefined : sign * Number(digits);
  }

  /** Consumes a symbol if it comes next. */
  symbol(symbol: string): boolean {
    const token = this.#tokens[this.#at];
    if (token?.kind !== "symbol" || this.#text(token) !== symbol) return false;
    this.#at++;
    return true;
  }

  /**
   * Skips past the next occurrence of the word outside parentheses; stays when there is none.
   */
  skipTo(word: string): boolean {
    let depth = 0;
    for (let at = this.#at; at < this.#tokens.length; at++) {
      const token = this.#tokens[at]!;
      const text = this.#text(token);
      if (token.kind === "symbol") depth += text === "(" ? 1 : text === ")" ? -1 : 0;
      if (depth === 0 && token.kind === "word" && text.toLowerCase() === word) {
        this.#at = at + 1;
        return true;
      }
    }
    return false;
  }

  /**
   * Skips to the last `count` tokens, not counting a closing semicolon; never moves back.
   */
  skipToLast(count: number): boolean {
    const end = this.#tokens.filter(({ end }) => end <= this.#last).length;
    if (end - count < this.#at) return false;
    this.#at = end - count;
    return true;
  }

  /** Consumes a parenthesized list and returns its text, parentheses included. */
  parentheses(): string | undefined {
    const from = this.#at;
    let depth = 0;
    for (let at = from; at < this.#tokens.length; at++) {
      const token = this.#tokens[at]!;
      const text = token.kind === "symbol" ? this.#text(token) : "";
      depth += text === "(" ? 1 : text === ")" ? -1 : 0;
      if (depth === 0) {
        if (at === from) return undefined; // no parenthesis comes next
        this.#at = at + 1;
        return this.#sql.slice(this.#tokens[from]!.start, token.end);
      }
    }
    return undefined;
  }

  /** The remaining text without the closing semicolon. */
  get rest(): string {
    const last = this.#last;
    const next = this.#tokens[this.#at];
    return next === undefined || next.start >= last ? "" : this.#sql.slice(next.start, last);
  }

  /** Whether the statement ends with these words. */
  endsWith(...words: readonly string[]): boolean {
    const tokens = this.#tokens.filter(({ end }) => end <= this.#last).slice(-words.length);
    return tokens.length === words.length &&
      tokens.every((token, index) =>
        token.kind === "word" && this.#text(token).toLowerCase() === words[index]
      );
  }

  /** End of the last token other than a closing semicolon. */
  get #last(): number {
    const last = this.#tokens.at(-1);
    const before = last !== undefined && this.#text(last) === ";" ? this.#tokens.at(-2) : last;
    return before?.end ?? 0;
  }

  /** Whether nothing but a closing semicolon is left. */
  get atEnd(): boolean {
    const token = this.#tokens[this.#at];
    return token === undefined || this.#text(token) === ";";
  }

  #take(kind: Token["kind"]): string | undefined {
    const token = this.#tokens[this.#at];
    if (token?.kind !== kind) return undefined;
    this.#at++;
    return this.#text(token);
  }

  #text({ start, end }: Token): string {
    return this.#sql.slice(start, end);
  }
}

/** `ALTER … OWNER TO …`: recognized by its end, because the object may be called OWNER itself. */
export function setsOwner(sql: string): boolean {
  const cursor = new SqlCursor(sql);
  return cursor.words("alter") && cursor.skipToLast(3) && cursor.words("owner", "to");
}

const escapes: Readonly<Record<string, string>> = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };

function literalText(literal: string): string {
  if (/^[eE]/.test(literal)) {
    return literal.slice(2, -1).replace(
      /''|\\(.)/gs,
      (_, escaped?: string) => escaped === undefined ? "'" : escapes[escaped] ?? escaped,
    );
  }
  if (literal.startsWith("$")) {
    const tag = literal.indexOf("$", 1) + 1;
    return literal.slice(tag, -tag);
  }
  return literal.slice(literal.indexOf("'") + 1, -1).replaceAll("''", "'");
}
