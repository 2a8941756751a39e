/**
 * SQL predicates that users write, kept within the place where they are put.
 *
 * @module
 */
import { tokenize } from "../core/internal.ts";
import { quotedPattern, type Reading } from "./name_pattern.ts";

/**
 * Reads a predicate. It must not be able to end the parentheses it is put into, nor the statement:
 * no semicolon, no parenthesis that is not its own, nothing that is left open, no parameter.
 *
 * What it means is for the server to say; this holds whatever it means.
 */
export function readPredicate(text: string): Reading<string> {
  const predicate = text.trim();
  if (predicate === "") {
    return { problem: "an empty predicate; leave the rule out to copy all rows" };
  }
  if (predicate.includes("\0")) return { problem: "the predicate has a NUL character in it" };
  if (/^where\b/i.test(predicate)) {
    return { problem: `${quotedPattern(predicate)} begins with WHERE: give what comes after it` };
  }
  let depth = 0;
  let empty = true;
  for (const { kind, start, end } of tokenize(predicate)) {
    const token = predicate.slice(start, end);
    if (kind === "space" || kind === "line-comment" || kind === "block-comment") continue;
    empty = false;
    if (kind === "open") return { problem: openProblem(token) };
    if (kind === "parameter") {
      return { problem: `${token} in the predicate stands for nothing: write the value itself` };
    }
    if (kind !== "symbol") continue;
    if (token === ";") {
      return {
        problem: `the predicate ${
          quotedPattern(predicate)
        } has a semicolon in it: give one condition only`,
      };
    }
    if (token === "(") depth++;
    else if (token === ")" && --depth < 0) {
      return {
        problem: `the predicate ${
          quotedPattern(predicate)
        } closes a parenthesis that it has not opened`,
      };
    }
  }
  if (depth > 0) {
    return {
      problem: `the predicate ${quotedPattern(predicate)} has a parenthesis that is not closed`,
    };
  }
  return empty ? { problem: "the predicate is nothing but comments" } : { value: predicate };
}

function openProblem(token: string): string {
  if (token.startsWith("/*")) return "a comment in the predicate is not closed";
  if (/^(?:[uU]&)?"/.test(token)) return "a double quote in the predicate is not closed";
  if (token.startsWith("$")) return "a dollar quote in the predicate is not closed";
  return "a quote in the predicate is not closed";
}

/** A predicate as an operand. The line break ends a comment that the predicate may end with. */
export function inParentheses(predicate: string): string {
  return /--|\/\*/.test(predicate) ? `(${predicate}\n)` : `(${predicate})`;
}

/** All of the predicates at once. */
export function allOf(predicates: readonly string[]): string {
  const [only] = predicates;
  if (predicates.length === 1 && only !== undefined) return only;
  return predicates.map(inParentheses).join(" AND ");
}

/**
 * What a predicate mentions, as far as its words tell: for questions to a catalog, never for a
 * decision about safety.
 */
export interface PredicateWords {
  /** Names that may be columns: identifiers that are not followed by a parenthesis or a dot. */
  readonly identifiers: readonly string[];
  /** Names that are followed by a parenthesis: functions, some keywords too. */
  readonly calls: readonly { readonly schema: string | undefined; readonly name: string }[];
  /** Words that are calls without parentheses, like `CURRENT_DATE`, in lower case. */
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

/** Finds the words of a predicate. */
export function wordsOf(predicate: string): PredicateWords {
  const tokens = [...tokenize(predicate)]
    .filter(({ kind }) => !["space", "line-comment", "block-comment"].includes(kind))
    .map(({ kind, start, end }) => ({ kind, text: predicate.slice(start, end) }));
  const identifiers = new Set<string>();
  const special = new Set<string>();
  const calls = new Map<string, { schema: string | undefined; name: string }>();
  let hasSubquery = false;
  for (const [index, token] of tokens.entries()) {
    const name = nameOf(token);
    if (name === undefined) continue;
    const next = tokens[index + 1]?.text;
    if (token.kind === "word" && name === "select") hasSubquery = true;
    if (token.kind === "word" && valueFunctions.has(name)) special.add(name);
    else if (next === "(") {
      const before = tokens[index - 2];
      const schema = tokens[index - 1]?.text === "." && before ? nameOf(before) : undefined;
      calls.set(JSON.stringify([schema, name]), { schema, name });
    } else if (next !== ".") identifiers.add(name);
  }
  return {
    identifiers: [...identifiers],
    calls: [...calls.values()],
    valueFunctions: [...special],
    hasSubquery,
  };
}

function nameOf({ kind, text }: { readonly kind: string; readonly text: string }) {
  if (kind === "word") return text.toLowerCase();
  return kind === "quoted-identifier" ? text.slice(1, -1).replaceAll('""', '"') : undefined;
}
