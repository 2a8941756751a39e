/**
 * SQL predicates written by users: checks that they can be embedded safely. Pure.
 *
 * @module
 */
import { type TableName, tokenize } from "../core/internal.ts";
import { quotedPattern, type Reading } from "./name_pattern.ts";

/**
 * Checks a predicate. It must not end the parentheses or the statement that it is embedded in: no
 * semicolon, no unbalanced parenthesis, no unterminated quote or comment, no parameter.
 *
 * Its meaning is up to the server; this check holds for any meaning.
 */
export function readPredicate(text: string): Reading<string> {
  const predicate = text.trim();
  if (predicate === "") {
    return { problem: "the predicate is empty; omit the rule to copy all rows" };
  }
  if (predicate.includes("\0")) return { problem: "the predicate contains a NUL character" };
  if (/^where\b/i.test(predicate)) {
    return {
      problem: `${quotedPattern(predicate)} begins with WHERE: give only the condition after it`,
    };
  }
  let depth = 0;
  let empty = true;
  for (const { kind, start, end } of tokenize(predicate)) {
    const token = predicate.slice(start, end);
    if (kind === "space" || kind === "line-comment" || kind === "block-comment") continue;
    empty = false;
    if (kind === "open") return { problem: openProblem(token) };
    if (kind === "parameter") {
      return { problem: `the predicate contains the parameter ${token}: write the value itself` };
    }
    if (kind !== "symbol") continue;
    if (token === ";") {
      return {
        problem: `the predicate ${
          quotedPattern(predicate)
        } contains a semicolon: give one condition only`,
      };
    }
    if (token === "(") depth++;
    else if (token === ")" && --depth < 0) {
      return {
        problem: `the predicate ${quotedPattern(predicate)} has an unmatched closing parenthesis`,
      };
    }
  }
  if (depth > 0) {
    return {
      problem: `the predicate ${quotedPattern(predicate)} has an unclosed parenthesis`,
    };
  }
  return empty ? { problem: "the predicate contains only comments" } : { value: predicate };
}

function openProblem(token: string): string {
  if (token.startsWith("/*")) return "the predicate has an unterminated comment";
  if (/^(?:[uU]&)?"/.test(token)) return "the predicate has an unterminated double quote";
  if (token.startsWith("$")) return "the predicate has an unterminated dollar quote";
  return "the predicate has an unterminated quote";
}

/** A predicate as an operand. The line break ends a trailing comment. */
export function inParentheses(predicate: string): string {
  return /--|\/\*/.test(predicate) ? `(${predicate}\n)` : `(${predicate})`;
}

/** The conjunction of the predicates. */
export function allOf(predicates: readonly string[]): string {
  const [only] = predicates;
  if (predicates.length === 1 && only !== undefined) return only;
  return predicates.map(inParentheses).join(" AND ");
}

/**
 * What a predicate mentions, judged by its tokens: for catalog queries, never for decisions about
 * safety.
 */
export interface PredicateWords {
  /** Possible columns: identifiers not followed by a parenthesis or a dot. */
  readonly identifiers: readonly string[];
  /** Names followed by a parenthesis: functions, and some keywords. */
  readonly calls: readonly { readonly schema: string | undefined; readonly name: string }[];
  /** Functions called without parentheses, such as `CURRENT_DATE`, in lower case. */
  readonly valueFunctions: readonly string[];
  readonly hasSubquery: boolean;
}

const valueFunctions = new Set([
  "current_catalog",
  "current_date",
  "current_role",
  "current_schema",
  "current_time",
  "current_timestamp",
  "current_user",
  "localtime",
  "localtimestamp",
  "session_user",
  "user",
]);

/** Finds what a predicate mentions. */
export function wordsOf(predicate: string): PredicateWords {
  const tokens = [...tokenize(predicate)]
    .filter(({ kind }) => !["space", "line-comment", "block-comment"].includes(kind))
    .map(({ kind, start, end }) => ({ kind, text: predicate.slice(start, end) }));
  const identifiers = new Set<string>();
  const calledValues = new Set<string>();
  const calls = new Map<string, { schema: string | undefined; name: string }>();
  let hasSubquery = false;
  for (const [index, token] of tokens.entries()) {
    const name = nameOf(token);
    if (name === undefined) continue;
    const next = tokens[index + 1]?.text;
    if (token.kind === "word" && name === "select") hasSubquery = true;
    if (token.kind === "word" && valueFunctions.has(name)) calledValues.add(name);
    else if (next === "(") {
      const before = tokens[index - 2];
      const schema = tokens[index - 1]?.text === "." && before ? nameOf(before) : undefined;
      calls.set(JSON.stringify([schema, name]), { schema, name });
    } else if (next !== ".") identifiers.add(name);
  }
  return {
    identifiers: [...identifiers],
    calls: [...calls.values()],
    valueFunctions: [...calledValues],
    hasSubquery,
  };
}

/**
 * The predicate with `table.column` for `schema.table.column`, for a query of something else that
 * has the table's name.
 */
export function withoutSchema(predicate: string, { schema, name }: TableName): string {
  const tokens = [...tokenize(predicate)].map(({ kind, start, end }) => ({
    kind,
    text: predicate.slice(start, end),
  }));
  const isPrefix = (index: number) =>
    nameOf(tokens[index]) === schema && tokens[index + 1]?.text === "." &&
    nameOf(tokens[index + 2]) === name && tokens[index + 3]?.text === "." &&
    tokens[index - 1]?.text !== ".";
  return tokens.map(({ text }, index) =>
    isPrefix(index) || tokens[index]?.text === "." && isPrefix(index - 1) ? "" : text
  ).join("");
}

function nameOf(token: { readonly kind: string; readonly text: string } | undefined) {
  const { kind, text = "" } = token ?? {};
  if (kind === "word") return text.toLowerCase();
  return kind === "quoted-identifier" ? text.slice(1, -1).replaceAll('""', '"') : undefined;
}
