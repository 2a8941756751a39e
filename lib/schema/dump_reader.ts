/**
 * The plain-SQL output of pg_dump and pg_dumpall, cut into statements.
 *
 * Needs no permission.
 *
 * @module
 */
import { type Token, tokenize } from "../core/internal.ts";

/** One statement of a dump. */
export interface DumpStatement {
  /** The statement with its semicolon, without the comments in front of it. */
  readonly sql: string;
  /**
   * pg_dump's word for the kind of object: `TABLE`, `FK CONSTRAINT`, `ACL`. Undefined for session
   * settings.
   */
  readonly type?: string;
  /**
   * pg_dump's name of the entry, for people: `orders orders_pkey`, `f(integer)`. Line breaks have
   * become spaces.
   */
  readonly name?: string;
  /** The schema it is in. */
  readonly schema?: string;
  /** The role that owns it. */
  readonly owner?: string;
  /**
   * Statements that make the same table with its columns in the source's order; `sql` where the
   * target refuses them.
   */
  readonly inOrder?: string;
}

type Header =
  & Required<Pick<DumpStatement, "type" | "name">>
  & Omit<DumpStatement, "sql" | "inOrder">;

/**
 * Cuts a dump into its statements, where psql would cut it.
 *
 * Lines with a backslash command of psql (`\restrict`, `\connect`) are dropped. Each statement gets
 * the entry of the comment that pg_dump wrote above it; what looks like one inside a string, a body
 * or a comment block does not count.
 *
 * @throws TypeError when the text ends in the middle of a statement: the dump is cut off
 */
export function readDump(text: string): readonly DumpStatement[] {
  const statements: DumpStatement[] = [];
  let backslashEscapes = false;
  let header: Header | undefined;
  /**
   * Everything before this has been dealt with: a backslash command reaches to the end of its line.
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

/** Tokens of the text, restarted wherever `from` has moved ahead. */
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
 * Where in a statement we are: only outside of parentheses and SQL-standard bodies a semicolon ends
 * it.
 *
 * As in the server's grammar, nothing but a routine has such a body, and nothing but the words
 * BEGIN ATOMIC opens it: BEGIN alone is a name like any other. Inside of it CASE and END are
 * reserved, so they come in pairs, except where any word is a name: behind AS and behind a dot.
 */
class Nesting {
  #parentheses = 0;
  /** The body and the CASE expressions that are open in it. */
  #blocks = 0;
  /** The unquoted words at the beginning, as far as they say whether this is a routine. */
  #words: string[] = [];
  /** The token before: a word in lower case, or a symbol. */
  #previous = "";

  /** Takes the next token; true when the statement ends with it. */
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

/** Settings stand between the entries and belong to none. */
function isSessionSetting(sql: string): boolean {
  return /^(?:SET\s|SELECT pg_catalog\.set_config\()/.test(sql);
}

/**
 * The comment above an entry, as `_printTocEntry` of pg_dump writes it: names are neither quoted
 * nor escaped. A name that contains what separates the parts is told from them by the longest name;
 * a schema or owner like that may be misread, which only messages show.
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
