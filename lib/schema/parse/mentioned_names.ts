/**
 * Finds the names in a statement. Pure.
 *
 * @module
 */
import { tokenize } from "../../core/internal.ts";

/** Names that a statement mentions outside strings and comments. */
export interface MentionedNames {
  /** All names, qualified or not. */
  readonly words: ReadonlySet<string>;
  /** Those followed by a dot. */
  readonly qualifiers: ReadonlySet<string>;
  /** Whether `schema.name` is mentioned; without a schema, whether the name is. */
  has(schema: string | undefined, name: string): boolean;
}

/** Reads the names of a statement as the server does: unquoted ones in lower case. */
export function mentionedNames(sql: string): MentionedNames {
  const words = new Set<string>();
  const qualifiers = new Set<string>();
  const pairs = new Set<string>();
  let qualifier: string | undefined;
  let last: string | undefined;
  for (const { kind, start, end } of tokenize(sql)) {
    const text = sql.slice(start, end);
    if (kind === "space" || kind === "line-comment" || kind === "block-comment") continue;
    if (kind === "symbol" && text === "." && last !== undefined) {
      qualifier = last;
      qualifiers.add(last);
      continue;
    }
    if (kind !== "word" && kind !== "quoted-identifier") {
      last = qualifier = undefined;
      continue;
    }
    last = kind === "word" ? foldCase(text) : text.slice(1, -1).replaceAll('""', '"');
    words.add(last);
    if (qualifier !== undefined) pairs.add(pairOf(qualifier, last));
    qualifier = undefined;
  }
  return {
    words,
    qualifiers,
    has: (schema, name) => schema === undefined ? words.has(name) : pairs.has(pairOf(schema, name)),
  };
}

function pairOf(schema: string, name: string): string {
  return JSON.stringify([schema, name]);
}

/** Folds ASCII letters only: the server's folding of others depends on encoding and locale. */
function foldCase(word: string): string {
  return word.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}
