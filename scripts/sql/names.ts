/**
 * Finds the names that SQL resolves through the search path: functions, relations, types and
 * collations.
 *
 * @module
 */
import { tokenize } from "../../lib/core/sql_tokens.ts";
import { hole } from "./literals.ts";

/** The kind of a name. */
export type NameKind = "function" | "relation" | "type" | "collation";

/** A name found in a text. */
export interface SqlName {
  readonly kind: NameKind;
  /** The schema that qualifies it. */
  readonly schema: string | undefined;
  readonly name: string;
  /** Where the name starts in the text, including its schema. */
  readonly start: number;
}

/**
 * Words that precede a parenthesis by grammar, without calling a function found through the path.
 */
const grammar = new Set(
  `all analyze and any array as between buffers by case cast check coalesce columns conflict copy
   cube cycle default deferrable delete desc distinct do each else end escape except exclude
   exists extract filter for freeze from generated greatest group grouping having if ilike in
   include index inherits insert intersect into is join key lateral least like limit local
   materialized not null nullif of offset on only options or order over overlaps partition
   position precision primary range recursive references returning returns row rows select set
   sets similar some statistics storage symmetric table tables temp temporary then ties to trim
   trigger truncate type unique union stdin stdout update using values varying verbose when where
   window with within without xmlelement xmlforest xmlparse xmlserialize zone identity always list
   hash`.split(/\s+/),
);

/**
 * Types that are keywords, which the grammar itself qualifies with `pg_catalog`.
 */
const keywordTypes = new Set(
  `bigint bit boolean char character dec decimal double float int integer interval nchar numeric real
   smallint time timestamp varchar`.split(/\s+/),
);

/** Keywords that can be followed by an operand, so the next word is not an alias. */
const beforeOperand = new Set(
  `all and any as between by call case check default distinct do else escape except exists execute explain from function
   having if ilike in intersect into is join lateral like limit not of offset on only or over
   perform position return returning select similar some symmetric then to union update using values when where with
   procedure analyze verbose`
    .split(/\s+/),
);

/** Types whose input functions look up names. */
const registeredTypes = new Set(["regclass", "regproc", "regprocedure", "regtype"]);

/** Keywords that end the relations of a FROM clause; ON and USING do not. */
const fromEnds = new Set(
  "where group order having limit union except intersect select returning set window offset values"
    .split(" "),
);

interface Word {
  readonly kind: "word" | "quoted-identifier" | "string" | "number" | "parameter" | "symbol";
  readonly text: string;
  /** Lower case for plain words. */
  readonly word: string;
  readonly start: number;
  readonly end: number;
}

/**
 * Finds the names in SQL or part of it. `known` are the names of its WITH queries.
 */
export function namesIn(text: string, known: ReadonlySet<string> = new Set()): readonly SqlName[] {
  return new Reader(text, new Set([...known, ...withNames(text)])).read();
}

function words(text: string): readonly Word[] {
  return [...tokenize(text)].flatMap(({ kind, start, end }) => {
    if (kind === "space" || kind === "line-comment" || kind === "block-comment") return [];
    const piece = text.slice(start, end);
    return [{
      kind: kind === "open" ? "string" as const : kind,
      text: piece,
      word: kind === "word" ? piece.toLowerCase() : "",
      start,
      end,
    }];
  });
}

/** The names of WITH queries: `name [(columns)] AS [[NOT] MATERIALIZED] (`. */
export function withNames(text: string): ReadonlySet<string> {
  const pattern =
    /\b([a-z_][a-z_0-9]*)\s*(?:\([a-z_0-9, ]*\)\s*)?AS\s*(?:(?:NOT\s+)?MATERIALIZED\s*)?\(/gi;
  return new Set([...text.matchAll(pattern)].map(([, name]) => (name ?? "").toLowerCase()));
}

interface Parenthesis {
  /** The word before it. */
  readonly opener: string;
  /** Whether it is within a list of relations, which a comma continues. */
  inFrom: boolean;
}

class Reader {
  readonly #known: ReadonlySet<string>;
  readonly #words: readonly Word[];
  readonly #names: SqlName[] = [];
  readonly #open: [Parenthesis, ...Parenthesis[]] = [{ opener: "", inFrom: false }];
  /** The first word of the statement. */
  #verb = "";

  readonly #isStatement: boolean;

  constructor(text: string, known: ReadonlySet<string>) {
    this.#known = known;
    this.#isStatement = looksLikeStatement(text);
    this.#words = words(text);
  }

  read(): readonly SqlName[] {
    for (let index = 0; index < this.#words.length; index++) this.#at(index);
    return this.#names;
  }

  #word(index: number): string {
    return this.#words[index]?.word ?? "";
  }

  #symbol(index: number): string {
    const found = this.#words[index];
    return found?.kind === "symbol" ? found.text : "";
  }

  get #inner(): Parenthesis {
    return this.#open.at(-1) ?? this.#open[0];
  }

  #at(index: number): void {
    const current = this.#words[index];
    if (current === undefined) return;
    if (index === 0 || this.#symbol(index - 1) === ";") this.#verb = current.word;
    if (current.kind === "string") return this.#string(index, current);
    if (current.kind === "symbol") return this.#punctuation(index, current.text);
    if (current.kind === "word") this.#keyword(index, current);
    this.#call(index, current);
  }

  #punctuation(index: number, symbol: string): void {
    if (symbol === "(") {
      this.#open.push({ opener: this.#word(index - 1), inFrom: false });
    } else if (symbol === ")") {
      if (this.#open.length > 1) this.#open.pop();
    } else if (symbol === "," && this.#inner.inFrom) {
      this.#relation(index);
    } else if (symbol === ";") {
      this.#inner.inFrom = false;
    } else if (symbol === ":" && this.#symbol(index + 1) === ":") {
      // not the address ::ffff:0:0
      if (this.#symbol(index + 3) !== ":" || this.#symbol(index + 4) === ":") {
        this.#name("type", index + 2);
      }
      this.#registered(index - 1, index + 2);
    }
  }

  /**
   * Keywords that are followed by a relation, type or collation. They must be in capitals, to
   * distinguish them from prose.
   */
  #keyword(index: number, { word, text }: Word): void {
    if (this.#symbol(index - 1) === "." || text !== text.toUpperCase()) return;
    const { opener } = this.#inner;
    if (fromEnds.has(word)) this.#inner.inFrom = false;
    if (word === "from") {
      const isSyntax = ["extract", "substring", "trim", "overlay"].includes(opener) ||
        this.#word(index - 1) === "distinct" || ["revoke", "fetch", "move"].includes(this.#verb);
      if (isSyntax) return;
      this.#inner.inFrom = true;
      this.#relation(index);
    } else if (word === "join" || word === "into") {
      this.#relation(index);
    } else if (word === "update") {
      if (this.#beginsStatement(index)) this.#relation(index);
    } else if (word === "as" && opener === "cast") {
      this.#name("type", index + 1);
    } else if (word === "collate") {
      this.#name("collation", index + 1);
    }
  }

  /** Unlike FOR UPDATE, DO UPDATE, ON UPDATE and prose about UPDATE. */
  #beginsStatement(index: number): boolean {
    const before = this.#words[index - 1];
    return before === undefined || before.text.includes(hole) || "();".includes(before.text) ||
      ["begin", "then", "else", "loop"].includes(before.word);
  }

  /** The relation after the keyword or comma at `index`. */
  #relation(index: number): void {
    let at = index + 1;
    while (["only", "lateral", "table"].includes(this.#word(at))) at++;
    if (grammar.has(this.#word(at)) || this.#word(at) === "stdin") return;
    const isQualified = this.#symbol(at + 1) === ".";
    // functions are handled as calls, but `INSERT INTO name (` is not a call
    if (this.#symbol(at + (isQualified ? 3 : 1)) === "(" && this.#word(index) !== "into") return;
    this.#name("relation", at);
  }

  #call(index: number, current: Word): void {
    if (this.#symbol(index + 1) !== "(" || current.text.includes(hole)) return;
    if (this.#symbol(index - 1) === ".") {
      const schema = this.#words[index - 2];
      if (schema === undefined) return;
      const { start } = schema;
      this.#names.push({ kind: "function", schema: plain(schema), name: plain(current), start });
      return;
    }
    const { word, start } = current;
    if (grammar.has(word) || keywordTypes.has(word) || this.#known.has(word)) return;
    const hasSyntax = ["substring", "overlay"].includes(word);
    if (hasSyntax && ["from", "for"].some((each) => this.#holds(each, index + 1))) return;
    // with several arrays it is handled by the parser, which knows only this name
    if (word === "unnest" && this.#holds(",", index + 1)) return;
    if (this.#isNewName(index)) return;
    // prose (with a remark)
    if (!this.#isStatement && this.#words[index + 1]?.start !== current.end) return;
    this.#names.push({ kind: "function", schema: undefined, name: plain(current), start });
  }

  /**
   * Whether a name before a parenthesis is an alias with columns, a table with columns, or a type
   * with a length.
   */
  #isNewName(index: number): boolean {
    const before = this.#words[index - 1];
    if (before === undefined) return false;
    if (before.kind === "symbol") {
      return [")", "]"].includes(before.text) ||
        this.#symbol(index - 2) === ":" && before.text === ":";
    }
    const announcesName = ["as", "into", "table"].includes(before.word);
    return before.kind !== "word" || before.text.includes(hole) || announcesName ||
      !beforeOperand.has(before.word);
  }

  /**
   * Whether the parentheses that open here contain a word or symbol, excluding inner parentheses.
   */
  #holds(wanted: string, index: number): boolean {
    let depth = 0;
    for (let at = index; at < this.#words.length; at++) {
      if (["(", "["].includes(this.#symbol(at))) depth++;
      if ([")", "]"].includes(this.#symbol(at)) && --depth === 0) return false;
      if (depth === 1 && (this.#word(at) === wanted || this.#symbol(at) === wanted)) return true;
    }
    return false;
  }

  /** A literal cast to `regclass` or the like is also resolved through the path. */
  #registered(literal: number, type: number): void {
    const at = this.#symbol(type + 1) === "." ? type + 2 : type;
    const word = this.#words[literal];
    if (!registeredTypes.has(this.#word(at)) || word?.kind !== "string") return;
    if (word.text.includes(hole) || word.text.includes(".")) return;
    const { text: name, start } = word;
    this.#names.push({ kind: "relation", schema: undefined, name, start });
  }

  /**
   * Statements in a literal (the body of a DO block or a function, dynamic SQL), and `date
   * '2000-01-01'`.
   */
  #string(index: number, { text, start }: Word): void {
    if (literalTypes.has(this.#word(index - 1)) && this.#symbol(index - 2) !== ".") {
      this.#name("type", index - 1);
    }
    const quote = /^(?:\$[^$]*\$|[eE]?')/.exec(text)?.[0];
    if (quote === undefined) return;
    const body = text.slice(quote.length, -quote.replace(/^e/i, "").length);
    if (!looksLikeStatement(body)) return;
    for (const name of namesIn(body, this.#known)) {
      this.#names.push({ ...name, start: name.start + start + quote.length });
    }
  }

  #name(kind: NameKind, index: number): void {
    const first = this.#words[index];
    if (first === undefined || first.kind !== "word" && first.kind !== "quoted-identifier") return;
    const { start } = first;
    if (this.#symbol(index + 1) === ".") {
      const name = this.#words[index + 2];
      if (name !== undefined) {
        this.#names.push({ kind, schema: plain(first), name: plain(name), start });
      }
      return;
    }
    if (first.text.includes(hole)) return;
    if (kind === "type" && keywordTypes.has(first.word)) return;
    if (kind === "relation" && this.#known.has(first.word)) return;
    this.#names.push({ kind, schema: undefined, name: plain(first), start });
  }
}

/** Types that a literal may follow, as in `date '2000-01-01'`. */
const literalTypes = new Set([
  "bytea",
  "date",
  "json",
  "jsonb",
  "oid",
  "pg_lsn",
  "regclass",
  "timestamptz",
  "uuid",
]);

function plain({ kind, text, word }: Word): string {
  return kind === "quoted-identifier" ? text.slice(1, -1) : word || text;
}

/** Whether a text starts like a statement or block. */
export function looksLikeStatement(text: string): boolean {
  return /^\s*(?:--[^\n]*\n\s*)*\(?(?:SELECT|WITH|INSERT INTO|UPDATE|DELETE FROM|DECLARE|BEGIN|MERGE INTO|PERFORM|CALL)\b/
    .test(text);
}
