/**
 * Parses `CREATE TABLE` as written by `pg_dump --quote-all-identifiers`. Pure.
 *
 * @module
 */
import { type TableName, type Token, tokenize } from "../../core/internal.ts";
import { SqlCursor } from "./sql_cursor.ts";

/** A column or a constraint. */
export interface TableItem {
  /** Its text. */
  readonly text: string;
  /** The column's name; undefined for a constraint. */
  readonly column: string | undefined;
  /** Whether the column's definition has NOT NULL. */
  readonly notNull: boolean;
  /** The text without that. */
  readonly withoutNotNull: string;
  /**
   * The column of a NOT NULL table constraint, which pg_dump 18 writes and older servers do not
   * support.
   */
  readonly notNullOf: string | undefined;
  /** Whether it is a CHECK constraint that child tables inherit. */
  readonly inheritedCheck: boolean;
}

/** A parsed CREATE TABLE. */
export interface TableDefinition {
  readonly table: TableName;
  /** `CREATE UNLOGGED TABLE "app"."orders"` */
  readonly opening: string;
  readonly items: readonly TableItem[];
  /** The tables that it inherits from, in order. */
  readonly parents: readonly TableName[];
  /** What follows the parents, without the semicolon: storage parameters, the foreign server. */
  readonly tail: string;
}

/**
 * Parses a statement; undefined for partitioned and typed tables and for any other statement.
 */
export function parseCreateTable(sql: string): TableDefinition | undefined {
  if (!/^CREATE (?:UNLOGGED |FOREIGN )?TABLE "/.test(sql)) return undefined;
  const cursor = new SqlCursor(sql);
  cursor.words("create");
  if (!cursor.words("unlogged")) cursor.words("foreign");
  cursor.words("table");
  const name = cursor.qualified();
  const list = cursor.parentheses();
  if (name?.schema === undefined || list === undefined) return undefined;
  const parents = cursor.words("inherits") ? readNames(cursor.parentheses()) : [];
  if (parents === undefined) return undefined;
  const tail = cursor.rest;
  return {
    table: { schema: name.schema, name: name.name },
    opening: sql.slice(0, sql.indexOf(list)).trimEnd(),
    items: splitItems(list.slice(1, -1)).map(readItem),
    parents,
    tail: tail === "" ? "" : ` ${tail}`,
  };
}

function readNames(list: string | undefined): readonly TableName[] | undefined {
  if (list === undefined) return undefined;
  const cursor = new SqlCursor(list.slice(1, -1));
  const names: TableName[] = [];
  do {
    const name = cursor.qualified();
    if (name?.schema === undefined) return undefined;
    names.push({ schema: name.schema, name: name.name });
  } while (cursor.symbol(","));
  return names;
}

/** Splits at commas outside parentheses and brackets. */
function splitItems(list: string): readonly string[] {
  const items: string[] = [];
  let depth = 0;
  let from = 0;
  for (const { kind, start, end } of tokenize(list)) {
    if (kind !== "symbol") continue;
    const symbol = list.slice(start, end);
    if (symbol === "(" || symbol === "[") depth++;
    else if (symbol === ")" || symbol === "]") depth--;
    else if (symbol === "," && depth === 0) {
      items.push(list.slice(from, start).trim());
      from = end;
    }
  }
  items.push(list.slice(from).trim());
  return items.filter((item) => item !== "");
}

/** All names are quoted, so only a constraint begins with a word. */
function readItem(text: string): TableItem {
  const cursor = new SqlCursor(text);
  const isColumn = text.startsWith('"');
  const column = isColumn ? cursor.identifier() : undefined;
  const named = !isColumn && cursor.words("constraint") ? cursor.identifier() : undefined;
  const check = !isColumn && named !== undefined && cursor.words("check");
  const notNullOf = !isColumn && cursor.words("not", "null") ? cursor.identifier() : undefined;
  const notNull = isColumn ? findNotNull(text) : undefined;
  return {
    text,
    column,
    notNull: notNull !== undefined,
    withoutNotNull: notNull === undefined
      ? text
      : `${text.slice(0, notNull.start).trimEnd()}${text.slice(notNull.end)}`,
    notNullOf,
    inheritedCheck: check && !cursor.endsWith("no", "inherit"),
  };
}

/** Position of `NOT NULL` in a column's definition, including the constraint's name. */
function findNotNull(text: string): { readonly start: number; readonly end: number } | undefined {
  const tokens = [...tokenize(text)].filter((token) => !isIgnored(token));
  const wordAt = (at: number) => {
    const token = tokens[at];
    return token?.kind === "word" ? text.slice(token.start, token.end).toLowerCase() : undefined;
  };
  let depth = 0;
  for (const [at, { kind, start, end }] of tokens.entries()) {
    if (kind === "symbol") {
      const symbol = text.slice(start, end);
      depth += symbol === "(" ? 1 : symbol === ")" ? -1 : 0;
    }
    if (depth !== 0 || wordAt(at) !== "not" || wordAt(at + 1) !== "null") continue;
    const named = wordAt(at - 2) === "constraint";
    return { start: tokens[named ? at - 2 : at]!.start, end: tokens[at + 1]!.end };
  }
  return undefined;
}

function isIgnored({ kind }: Token): boolean {
  return kind === "space" || kind === "line-comment" || kind === "block-comment";
}
