/**
 * Reads the option lists of a statement: `WITH (…)`, `SET (…)`, `OPTIONS (…)`. Pure.
 *
 * @module
 */
import { type Token, tokenize } from "../../core/internal.ts";

/** One option, and its position in the statement. */
export interface StatementOption {
  /**
   * Unquoted and in lower case: `fillfactor`, `toast.autovacuum_enabled`.
   */
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

interface OptionList {
  /** Start of the keyword before the parenthesis. */
  readonly start: number;
  /** After the closing parenthesis. */
  readonly end: number;
  /** After the opening parenthesis. */
  readonly inside: number;
  /** `ALTER … SET (…)`: without options nothing is left to do. */
  readonly isAction: boolean;
  readonly options: readonly StatementOption[];
}

/** Statements whose lists set options of an object; what follows AS belongs to a query. */
const relationStatement =
  /^(?:CREATE|ALTER)\s+(?:UNLOGGED\s+)?(?:TABLE|FOREIGN\s+TABLE|(?:UNIQUE\s+)?INDEX|(?:MATERIALIZED\s+)?VIEW|SERVER|FOREIGN\s+DATA\s+WRAPPER|USER\s+MAPPING)\s/;

/**
 * The options of a table, view, index or foreign object and of its columns; not those of operator
 * classes.
 */
export function statementOptions(sql: string): readonly StatementOption[] {
  return readLists(sql).flatMap(({ options }) => options);
}

/** The statement without these options; undefined when nothing is left to do. */
export function withoutOptions(
  sql: string,
  unwanted: readonly StatementOption[],
): string | undefined {
  const removed = new Set(unwanted.map(({ start }) => start));
  let text = sql;
  for (const list of [...readLists(sql)].reverse()) {
    const kept = list.options.filter(({ start }) => !removed.has(start));
    if (kept.length === list.options.length) continue;
    if (kept.length === 0 && list.isAction) return undefined;
    const inside = kept.map(({ start, end }) => sql.slice(start, end)).join(", ");
    text = kept.length === 0
      ? `${text.slice(0, list.start).trimEnd()}${text.slice(list.end)}`
      : `${text.slice(0, list.inside)}${inside}${text.slice(list.end - 1)}`;
  }
  return text;
}

function readLists(sql: string): readonly OptionList[] {
  if (!relationStatement.test(sql)) return [];
  const tokens = [...tokenize(sql)].filter(({ kind }) =>
    kind !== "space" && kind !== "line-comment" && kind !== "block-comment"
  );
  const textOf = ({ start, end }: Token) => sql.slice(start, end);
  const lists: OptionList[] = [];
  let depth = 0;
  for (let at = 0; at + 1 < tokens.length; at++) {
    const token = tokens[at]!;
    const text = textOf(token);
    if (token.kind === "symbol") depth += text === "(" ? 1 : text === ")" ? -1 : 0;
    // a table may have one of these names, but its name follows its schema
    if (token.kind !== "word" || depth !== 0 || textOf(tokens[at - 1] ?? token) === ".") continue;
    const word = text.toLowerCase();
    if (word === "as") break;
    if (word !== "with" && word !== "set" && word !== "options") continue;
    if (textOf(tokens[at + 1]!) !== "(") continue;
    const close = closingParenthesis(tokens, textOf, at + 1);
    if (close === undefined) break;
    lists.push({
      start: token.start,
      inside: tokens[at + 1]!.end,
      end: tokens[close]!.end,
      isAction: word !== "with" && /^ALTER\s/.test(sql),
      options: splitOptions(tokens.slice(at + 2, close), textOf),
    });
    at = close;
  }
  return lists;
}

function closingParenthesis(
  tokens: readonly Token[],
  textOf: (token: Token) => string,
  open: number,
): number | undefined {
  let depth = 0;
  for (let at = open; at < tokens.length; at++) {
    const text = tokens[at]!.kind === "symbol" ? textOf(tokens[at]!) : "";
    depth += text === "(" ? 1 : text === ")" ? -1 : 0;
    if (depth === 0) return at;
  }
  return undefined;
}

/** Splits at commas; a name may have a namespace: `toast.autovacuum_enabled`. */
function splitOptions(
  tokens: readonly Token[],
  textOf: (token: Token) => string,
): readonly StatementOption[] {
  const options: StatementOption[] = [];
  let from = 0;
  for (let at = 0; at <= tokens.length; at++) {
    if (at < tokens.length && textOf(tokens[at]!) !== ",") continue;
    const parts = tokens.slice(from, at);
    from = at + 1;
    const [first, dot, second] = parts;
    const last = parts.at(-1);
    if (first === undefined || last === undefined) continue;
    const named = dot !== undefined && second !== undefined && textOf(dot) === "."
      ? [first, dot, second]
      : [first];
    options.push({
      name: named.map((token) => nameOf(token, textOf)).join("").toLowerCase(),
      start: first.start,
      end: last.end,
    });
  }
  return options;
}

function nameOf(token: Token, textOf: (token: Token) => string): string {
  const text = textOf(token);
  return token.kind === "quoted-identifier" ? text.slice(1, -1).replaceAll('""', '"') : text;
}
