/**
 * Walks over the tokens of a statement, for those few forms that the tool has to understand.
 *
 * @module
 */
import { type Token, tokenize } from "../core/internal.ts";

/** A position in a statement as pg_dump writes them; white space and comments are passed over. */
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

  /** Takes the words when they come next, whatever their case. */
  words(...words: readonly string[]): boolean {
    const here = words.every((word, index) => {
      const token = this.#tokens[this.#at + index];
      return token?.kind === "word" && this.#text(token).toLowerCase() === word;
    });
    if (here) this.#at += words.length;
    return here;
  }

  /** Takes an unquoted word, in lower case. */
  word(): string | undefined {
    return this.#take("word")?.toLowerCase();
  }

  /** Takes an identifier and returns the name that it stands for. */
  identifier(): string | undefined {
    const quoted = this.#take("quoted-identifier");
    if (quoted !== undefined) return quoted.slice(1, -1).replaceAll('""', '"');
    return this.#take("word")?.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  }

  /** Takes `name` or `schema.name`. */
  qualified(): { readonly schema: string | undefined; readonly name: string } | undefined {
    const first = this.identifier();
    if (first === undefined) return undefined;
    if (!this.symbol(".")) return { schema: undefined, name: first };
    const second = this.identifier();
    return second === undefined ? undefined : { schema: first, name: second };
  }

  /** Takes a string literal and returns its text. */
  literal(): string | undefined {
    const literal = this.#take("string");
    return literal === undefined ? undefined : literalText(literal);
  }

  /** Takes a number, with its sign. */
  number(): number | undefined {
    const sign = this.symbol("-") ? -1 : 1;
    const digits = this.#take("number");
    return digits === undefined ? undefined : sign * Number(digits);
  }

  /** Takes a symbol when it comes next. */
  symbol(symbol: string): boolean {
    const token = this.#tokens[this.#at];
    if (token?.kind !== "symbol" || this.#text(token) !== symbol) return false;
    this.#at++;
    return true;
  }

  /**
   * Goes on behind the next occurrence of the word outside of parentheses; stays when there is
   * none.
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
   * Goes on at the last tokens, so many of them, a closing semicolon not counted; stays when they
   * are behind.
   */
  skipToLast(count: number): boolean {
    const end = this.#tokens.filter(({ end }) => end <= this.#last).length;
    if (end - count < this.#at) return false;
    this.#at = end - count;
    return true;
  }

  /** Takes what stands in parentheses, they included, as it is written. */
  parentheses(): string | undefined {
    const from = this.#at;
    let depth = 0;
    for (let at = from; at < this.#tokens.length; at++) {
      const token = this.#tokens[at]!;
      const text = token.kind === "symbol" ? this.#text(token) : "";
      depth += text === "(" ? 1 : text === ")" ? -1 : 0;
      if (depth === 0) {
        if (at === from) return undefined; // nothing was opened
        this.#at = at + 1;
        return this.#sql.slice(this.#tokens[from]!.start, token.end);
      }
    }
    return undefined;
  }

  /** What is left, as it is written, without the closing semicolon. */
  get rest(): string {
    const last = this.#last;
    const next = this.#tokens[this.#at];
    return next === undefined || next.start >= last ? "" : this.#sql.slice(next.start, last);
  }

  /** Whether the statement ends in these words. */
  endsWith(...words: readonly string[]): boolean {
    const tokens = this.#tokens.filter(({ end }) => end <= this.#last).slice(-words.length);
    return tokens.length === words.length &&
      tokens.every((token, index) =>
        token.kind === "word" && this.#text(token).toLowerCase() === words[index]
      );
  }

  /** Where the last token ends that is no closing semicolon. */
  get #last(): number {
    const last = this.#tokens.at(-1);
    const before = last !== undefined && this.#text(last) === ";" ? this.#tokens.at(-2) : last;
    return before?.end ?? 0;
  }

  /** Whether nothing but the closing semicolon is left. */
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

/** `ALTER … OWNER TO …`: told by its end, because what it alters can be called OWNER itself. */
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
