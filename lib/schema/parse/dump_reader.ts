/**
 * Splits the plain-SQL output of pg_dump and pg_dumpall into statements. Pure.
 *
 * @module
 */
import { type Token, tokenize } from "../../core/internal.ts";

/** One statement of a dump. */
export interface DumpStatement {
  /** The statement with its semicolon, without preceding comments. */
  readonly sql: string;
  /**
   * pg_dump's name for the kind of entry: `TABLE`, `FK CONSTRAINT`, `ACL`. Undefined for session
   * settings.
   */
  readonly type?: string;
  /**
   * pg_dump's display name of the entry: `orders orders_pkey`, `f(integer)`. Line breaks are
   * replaced by spaces.
   */
  readonly name?: string;
  /** The schema it is in. */
  readonly schema?: string;
  /** The role that owns it. */
  readonly owner?: string;
  /**
   * Statements that create the same table with its columns in the source's order; `sql` is used
   * where the target refuses them.
   */
  readonly inOrder?: string;
}

type Header =
  & Required<Pick<DumpStatement, "type" | "name">>
  & Omit<DumpStatement, "sql" | "inOrder">;

/**
 * Splits a dump into statements where psql would.
 *
 * Lines with a psql backslash command (`\restrict`, `\connect`) are dropped. Each statement gets
 * the entry of the comment that pg_dump wrote above it; look-alikes inside strings, bodies or block
 * comments are ignored.
 *
 * @throws TypeError when the text ends in the middle of a statement: the dump is truncated
 */
export function readDump(text: string): readonly DumpStatement[] {
  const statements: DumpStatement[] = [];
  let backslashEscapes = false;
  let header: Header | undefined;
  /**
   * Everything before this has been processed: a backslash command extends to the end of its line.
   */
  let from = 0;
  let start: number | undefined;
  let nesting = new Nesting();

  for (const token of tokensFrom(text, () => from, () => backslashEscapes)) {
    if (start === undefined) {
      if (token.kind === "line-comment") {
        header = readHeader(text.slice(token.start, token.end)) ?? header;
      }
      if (isIgnored(token)) continue;
      if (token.kind === "symbol" && text[token.start] === "\\") {
        const lineEnd = text.indexOf("\n", token.start);
        from = lineEnd < 0 ? text.length : lineEnd + 1;
        continue;
      }
      start = token.start;
      nesting = new Nesting();
    }
    if (token.kind === "open") break;
    if (!nesting.endsWith(text, token)) continue;
    const sql = text.slice(start, token.end);
    start = undefined;
    if (sql === ";") continue;
    const setting = /^SET standard_conforming_strings = (on|off);$/.exec(sql);
    if (setting !== null) backslashEscapes = setting[1] === "off";
    statements.push(header === undefined || isSessionSetting(sql) ? { sql } : { sql, ...header });
  }
  if (start !== undefined) {
    throw new TypeError(
      `the dump ends in the middle of a statement: ${text.slice(start, start + 80)}`,
    );
  }
  return statements;
}

/** Tokens of the text, restarting whenever `from` has moved ahead. */
function* tokensFrom(
  text: string,
  from: () => number,
  backslashEscapes: () => boolean,
): Generator<Token> {
  let base = 0;
  restart: for (;;) {
    const rest = base === 0 ? text : text.slice(base);
    for (const token of tokenize(rest, { backslashEscapes })) {
      yield { kind: token.kind, start: token.start + base, end: token.end + base };
      if (from() > base + token.end) {
        base = from();
        continue restart;
      }
    }
    return;
  }
}

/**
 * Tracks the nesting within a statement: a semicolon ends it only outside parentheses and
 * SQL-standard bodies.
 *
 * As in the server's grammar, only a routine has such a body, and only BEGIN ATOMIC opens it: BEGIN
 * alone is an ordinary name. Inside it CASE and END are reserved and come in pairs, except after AS
 * and after a dot, where any word is a name.
 */
class Nesting {
  #parentheses = 0;
  /** The body and its open CASE expressions. */
  #blocks = 0;
  /** The first unquoted words, which show whether this is a routine. */
  #words: string[] = [];
  /** The previous token: a word in lower case, or a symbol. */
  #previous = "";

  /** Consumes the next token; true when the statement ends with it. */
  endsWith(text: string, token: Token): boolean {
    if (isIgnored(token)) return false;
    const written = text.slice(token.start, token.end);
    const previous = this.#previous;
    this.#previous = token.kind === "word" ? written.toLowerCase() : written;
    if (token.kind === "symbol") {
      if (written === "(") this.#parentheses++;
      else if (written === ")") this.#parentheses = Math.max(0, this.#parentheses - 1);
      else if (written === ";") return this.#parentheses === 0 && this.#blocks === 0;
    } else if (token.kind === "word") this.#word(this.#previous, previous);
    return false;
  }

  #word(word: string, previous: string): void {
    if (this.#words.length < 4) this.#words.push(word);
    if (this.#parentheses > 0) return;
    if (this.#blocks === 0) {
      if (word === "atomic" && previous === "begin" && isRoutine(this.#words)) this.#blocks = 1;
    } else if (previous !== "as" && previous !== ".") {
      if (word === "case") this.#blocks++;
      else if (word === "end") this.#blocks--;
    }
  }
}

function isIgnored({ kind }: Token): boolean {
  return kind === "space" || kind === "line-comment" || kind === "block-comment";
}

function isRoutine(words: readonly string[]): boolean {
  const [create, ...rest] = words;
  const kind = rest[0] === "or" && rest[1] === "replace" ? rest[2] : rest[0];
  return create === "create" && (kind === "function" || kind === "procedure");
}

/** Settings belong to no entry. */
function isSessionSetting(sql: string): boolean {
  return /^(?:SET\s|SELECT pg_catalog\.set_config\()/.test(sql);
}

/**
 * The comment above an entry, as `_printTocEntry` of pg_dump writes it: names are neither quoted
 * nor escaped. Of a name that contains the separators the longest reading is taken; such a schema
 * or owner may be misread, which affects messages only.
 */
const headerPattern =
  /^-- (?:Data for )?Name: (.*); Type: ([A-Z][A-Z ]*); Schema: (.*?); Owner: (.*?)(?:; Tablespace: .*)?$/;

function readHeader(comment: string): Header | undefined {
  const [, name, type, schema = "-", owner = "-"] = headerPattern.exec(comment) ?? [];
  if (name === undefined || type === undefined) return undefined;
  return {
    name,
    type,
    ...(schema === "-" ? {} : { schema }),
    ...(owner === "-" || owner === "" ? {} : { owner }),
  };
}
