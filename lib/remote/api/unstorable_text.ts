import type { Problem } from "../../core/internal.ts";

/** PostgreSQL cannot store NUL in text, and only well-formed Unicode can be sent. */
const problemOf = (text: string): string | undefined =>
  text.includes("\0")
    ? "contains a NUL character, which PostgreSQL cannot store"
    : text.isWellFormed()
    ? undefined
    : "contains an unpaired surrogate, which is not a character";

/** Deeper than any valid document. */
const maxDepth = 64;

interface Place {
  readonly value: unknown;
  readonly path: string;
  readonly depth: number;
}

/**
 * Finds what cannot be stored or sent in a parsed document: texts and keys with a NUL character or
 * an unpaired surrogate, and excessive nesting. Does not recurse.
 */
export function unstorableText(document: unknown): readonly Problem[] {
  const problems: Problem[] = [];
  const open: Place[] = [{ value: document, path: "", depth: 0 }];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { value, path, depth } = next;
    if (typeof value === "string") add(problems, path, problemOf(value));
    if (typeof value !== "object" || value === null) continue;
    if (depth >= maxDepth) {
      return [{ path: "body", message: `is nested more than ${maxDepth} levels deep` }];
    }
    const inside: Place[] = [];
    for (const [key, each] of Object.entries(value)) {
      const isIndex = Array.isArray(value);
      const wrong = isIndex ? undefined : problemOf(key);
      // a key that cannot be stored must not appear in the path either
      if (wrong !== undefined) add(problems, path, `has a key that ${wrong}`);
      const name = wrong === undefined ? key : "?";
      const place = isIndex ? `${path}[${key}]` : path === "" ? name : `${path}.${name}`;
      inside.push({ value: each, path: place, depth: depth + 1 });
    }
    open.push(...inside.reverse()); // a stack: the next to process is the last
  }
  return problems;
}

function add(problems: Problem[], path: string, message: string | undefined): void {
  if (message !== undefined) problems.push({ path: path === "" ? "body" : path, message });
}

/**
 * Whether the path or query of a URL does not decode to storable text: it must be percent-encoded
 * UTF-8 without NUL.
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
