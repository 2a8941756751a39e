import type { Problem } from "../../core/internal.ts";

/** PostgreSQL stores no NUL in any text, and nothing can be sent that is not Unicode. */
const problemOf = (text: string): string | undefined =>
  text.includes("\0")
    ? "has a NUL character, which PostgreSQL cannot store"
    : text.isWellFormed()
    ? undefined
    : "has half of a surrogate pair, which is not a character";

/** Deeper documents than any that is understood here. */
const maxDepth = 64;

interface Place {
  readonly value: unknown;
  readonly path: string;
  readonly depth: number;
}

/**
 * What of a parsed document cannot be stored or sent: texts and keys with a NUL character or a lone
 * surrogate, and nesting that nothing here has. Never recurses.
 */
export function unstorableText(document: unknown): readonly Problem[] {
  const problems: Problem[] = [];
  const open: Place[] = [{ value: document, path: "", depth: 0 }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { value, path, depth } = next;
    if (typeof value === "string") add(problems, path, problemOf(value));
    if (typeof value !== "object" || value === null) continue;
    if (depth >= maxDepth) {
      return [{ path: "body", message: `is nested more than ${maxDepth} deep` }];
    }
    const inside: Place[] = [];
    for (const [key, each] of Object.entries(value)) {
      const isIndex = Array.isArray(value);
      const wrong = isIndex ? undefined : problemOf(key);
      // a key that cannot be stored is not named either
      if (wrong !== undefined) add(problems, path, `has a key that ${wrong}`);
      const name = wrong === undefined ? key : "?";
      const place = isIndex ? `${path}[${key}]` : path === "" ? name : `${path}.${name}`;
      inside.push({ value: each, path: place, depth: depth + 1 });
    }
    open.push(...inside.reverse()); // the next one to look at is the last
  }
  return problems;
}

function add(problems: Problem[], path: string, message: string | undefined): void {
  if (message !== undefined) problems.push({ path: path === "" ? "body" : path, message });
}

/**
 * Whether the path and the query of a URL can be decoded into text that can be stored:
 * percent-encoded UTF-8 without NUL.
 */
export function hasUnstorableText({ pathname, search }: URL): boolean {
  try {
    return [pathname, search.replaceAll("+", " ")].some((part) =>
      problemOf(decodeURIComponent(part)) !== undefined
    );
  } catch (error) {
    if (error instanceof URIError) return true;
    throw error;
  }
}
