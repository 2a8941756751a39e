/**
 * Finds names in function bodies that an empty `search_path` does not resolve. Pure: runs nothing.
 *
 * @module
 */
import { type Token, tokenize } from "../../core/internal.ts";

/**
 * Names of user objects. Names that `pg_catalog` contains too are omitted, because they resolve.
 */
export interface UserNames {
  /** Name → schemas that contain it. */
  readonly relations: ReadonlyMap<string, readonly string[]>;
  readonly functions: ReadonlyMap<string, readonly string[]>;
  readonly types: ReadonlyMap<string, readonly string[]>;
  readonly operators: ReadonlyMap<string, readonly string[]>;
}

/** A name used without its schema. */
export interface UnqualifiedName {
  readonly name: string;
  /** Schemas that contain the object. */
  readonly schemas: readonly string[];
}

/** A qualified name followed by a parenthesis. */
export interface QualifiedCall {
  readonly schema: string;
  readonly name: string;
}

/** Names in a body. */
export interface BodyNames {
  readonly unqualified: readonly UnqualifiedName[];
  /** Functions called by qualified name: their bodies run under the same path. */
  readonly calls: readonly QualifiedCall[];
}

/** Words followed by a relation. */
const beforeRelation: ReadonlySet<string> = new Set([
  "from",
  "join",
  "update",
  "table",
  "only",
  "using",
]);

/** Functions whose argument is the name of a relation. */
const takesRelation: ReadonlySet<string> = new Set([
  "nextval",
  "currval",
  "setval",
  "to_regclass",
  "pg_get_serial_sequence",
]);

/** Words that may precede a name that is not a type. */
const notDeclared: ReadonlySet<string> = new Set(
  "begin then else loop return raise perform exit continue next close fetch open end call".split(
    " ",
  ),
);

/** Functions in whose arguments `FROM` precedes a value. */
const fromValue: ReadonlySet<string> = new Set(["extract", "overlay", "substring", "trim"]);

const operatorCharacter = /[-+*/<>=~!@#%^&|`?]/;

interface Word {
  readonly kind: "name" | "literal" | "symbol" | "other";
  /** Case-folded as by the server; for a literal its contents. */
  readonly text: string;
}

/**
 * Finds names that a body in SQL or PL/pgSQL uses without their schema. Columns and variables do
 * not count.
 */
export function findNames(body: string, names: UserNames): BodyNames {
  const unqualified = new Map<string, UnqualifiedName>();
  const calls: QualifiedCall[] = [];
  scanBody(body, { names, unqualified, calls });
  return { unqualified: [...unqualified.values()], calls };
}

interface FoundNames {
  readonly names: UserNames;
  readonly unqualified: Map<string, UnqualifiedName>;
  readonly calls: QualifiedCall[];
}

function scanBody(body: string, found: FoundNames): void {
  const words = readWords(body);
  const temporary = commonTableNames(words);
  words.forEach((word, at) => {
    const before = words[at - 1];
    const after = words[at + 1];
    if (word.kind === "literal") {
      return scanLiteral(word.text, {
        before: words[at - 2],
        after: words.slice(at + 1, at + 4),
        opened: before?.text === "(",
      }, found);
    }
    if (word.kind === "symbol") return note(word.text, found.names.operators, found);
    if (word.kind !== "name") return;
    if (before?.text === "." && before.kind === "other") {
      const schema = words[at - 2];
      if (after?.text === "(" && schema?.kind === "name") {
        found.calls.push({ schema: schema.text, name: word.text });
      }
      return;
    }
    if (after?.text === "(") {
      if (!temporary.has(word.text)) note(word.text, found.names.functions, found);
      return;
    }
    if (isRelation(words, at) && after?.text !== "." && !temporary.has(word.text)) {
      note(word.text, found.names.relations, found);
    } else if (isRowType(words, at)) note(word.text, found.names.relations, found);
    else if (isType(words, at)) note(word.text, found.names.types, found);
  });
}

/** `FROM kinds`, `INSERT INTO kinds`; not `SELECT … INTO variable` */
function isRelation(words: readonly Word[], at: number): boolean {
  const before = words[at - 1];
  if (before?.kind !== "name") return false;
  if (before.text === "into") return ["insert", "merge"].includes(words[at - 2]?.text ?? "");
  if (before.text === "from" && isBeforeValue(words, at - 1)) return false;
  return beforeRelation.has(before.text);
}

/** `a IS DISTINCT FROM kinds`, `extract(year FROM kinds)` */
function isBeforeValue(words: readonly Word[], from: number): boolean {
  const isComparison = words[from - 1]?.text === "distinct" &&
    ["is", "not"].includes(words[from - 2]?.text ?? "");
  return isComparison || fromValue.has(callAround(words, from) ?? "");
}

/** The name before the innermost open parenthesis. */
function callAround(words: readonly Word[], at: number): string | undefined {
  let closed = 0;
  for (let index = at - 1; index >= 0; index--) {
    const { kind, text } = words[index]!;
    if (kind !== "other") continue;
    if (text === ")") closed++;
    else if (text === "(" && closed-- === 0) {
      const name = words[index - 1];
      return name?.kind === "name" ? name.text : undefined;
    }
  }
  return undefined;
}

/** `kinds%ROWTYPE`, `kinds.code%TYPE` */
function isRowType(words: readonly Word[], at: number): boolean {
  const end = words[at + 1]?.text === "." ? at + 3 : at + 1;
  return words[end]?.text === "%" && ["type", "rowtype"].includes(words[end + 1]?.text ?? "");
}

/** `value::mood`, `CAST(value AS mood)`, `CREATE DOMAIN code AS mood`, `declared mood;` */
function isType(words: readonly Word[], at: number): boolean {
  const before = words[at - 1];
  const after = words[at + 1]?.text;
  if (before?.text === "::") return after !== ".";
  if (before?.kind === "name" && before.text === "as") {
    // elsewhere AS introduces an alias
    return after !== "." && (callAround(words, at) === "cast" || isOfDomain(words, at - 1));
  }
  return before?.kind === "name" && !notDeclared.has(before.text) &&
    (after === ";" || after === ":=") && words[at - 2]?.text !== undefined &&
    [";", "declare"].includes(words[at - 2]!.text);
}

/** `CREATE DOMAIN app.code AS` */
function isOfDomain(words: readonly Word[], as: number): boolean {
  const name = words[as - 2]?.text === "." ? as - 3 : as - 1;
  return words[name - 1]?.text === "domain" && words[name - 2]?.text === "create";
}

/** Literals that contain SQL or the name of a relation. */
function scanLiteral(
  text: string,
  { before, after, opened }: {
    readonly before: Word | undefined;
    readonly after: readonly Word[];
    readonly opened: boolean;
  },
  found: FoundNames,
): void {
  if (/^\s*(?:select|with|insert|update|delete|table|values|execute|call|do)\b/i.test(text)) {
    return scanBody(text, found);
  }
  const asRelation = after[0]?.text === "::" && after[1]?.text === "regclass" ||
    opened && before !== undefined && takesRelation.has(before.text);
  const [name, ...more] = readWords(text);
  if (asRelation && name?.kind === "name" && more.length === 0) {
    note(name.text, found.names.relations, found);
  }
}

function note(
  name: string,
  known: ReadonlyMap<string, readonly string[]>,
  { unqualified }: FoundNames,
): void {
  const schemas = known.get(name);
  if (schemas !== undefined) unqualified.set(name, { name, schemas });
}

/** `WITH name AS (` */
function commonTableNames(words: readonly Word[]): ReadonlySet<string> {
  return new Set(words.flatMap(({ kind, text }, at) => {
    if (kind !== "name") return [];
    let next = at + 1;
    if (words[next]?.text === "(") {
      while (next < words.length && words[next]?.text !== ")") next++;
      next++;
    }
    if (words[next]?.text !== "as") return [];
    next++;
    while (["not", "materialized"].includes(words[next]?.text ?? "")) next++;
    return words[next]?.text === "(" ? [text] : [];
  }));
}

function readWords(text: string): readonly Word[] {
  const words: Word[] = [];
  const tokens = [...tokenize(text)];
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at]!;
    const piece = text.slice(token.start, token.end);
    if (["space", "line-comment", "block-comment"].includes(token.kind)) continue;
    if (token.kind === "word") words.push({ kind: "name", text: foldCase(piece) });
    else if (token.kind === "quoted-identifier") {
      words.push({ kind: "name", text: piece.slice(1, -1).replaceAll('""', '"') });
    } else if (token.kind === "string") words.push({ kind: "literal", text: literalText(piece) });
    else if (piece === ":") {
      const pair = text.charAt(token.end);
      const doubled = pair === ":" || pair === "=";
      words.push({ kind: "other", text: doubled ? piece + pair : piece });
      if (doubled) at++;
    } else if (operatorCharacter.test(piece)) {
      const end = operatorEnd(text, tokens, at);
      const operator = text.slice(token.start, tokens[end]!.end);
      words.push({ kind: operator === "%" ? "other" : "symbol", text: operator });
      at = end;
    } else words.push({ kind: "other", text: piece });
  }
  return words;
}

function operatorEnd(text: string, tokens: readonly Token[], from: number): number {
  let end = from;
  while (
    tokens[end + 1]?.kind === "symbol" &&
    operatorCharacter.test(text.slice(tokens[end + 1]!.start, tokens[end + 1]!.end))
  ) end++;
  return end;
}

function literalText(literal: string): string {
  const dollar = /^\$[^$]*\$/.exec(literal)?.[0];
  if (dollar !== undefined) return literal.slice(dollar.length, -dollar.length);
  const start = literal.indexOf("'");
  return literal.slice(start + 1, -1).replaceAll("''", "'");
}

function foldCase(word: string): string {
  return word.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}
