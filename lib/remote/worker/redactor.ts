import { redact } from "../../core/internal.ts";
import { parseUrl } from "../../postgres/internal.ts";

/** Texts that must not appear in any output. */
export interface Secrets {
  readonly urls: readonly string[];
  /** Filter conditions of rules. */
  readonly predicates: readonly string[];
}

/**
 * Shorter texts would match ordinary words; they are redacted only as part of their URL or
 * condition.
 */
const minLength = 3;

/**
 * Redacts the secrets of a job: URLs, passwords (plain and percent-encoded), filter conditions, and
 * their literals, which servers quote in errors.
 */
export class Redactor {
  readonly #secrets: readonly string[];

  constructor({ urls, predicates }: Secrets) {
    const passwords = urls.flatMap((url) => {
      const parts = parseUrl(url, "").parts;
      const password = [parts?.password, parts?.parameters["password"]];
      const raw = /^[^/]*\/\/[^/@]*?:([^@/]*)@/.exec(url)?.[1];
      return [...password, raw, ...password.map((each) => each && encodeURIComponent(each))];
    });
    const literals = predicates.flatMap((predicate) => literalsOf(predicate));
    this.#secrets = [...new Set([...urls, ...predicates, ...passwords, ...literals])]
      .filter((secret) => secret !== undefined && secret.length >= minLength)
      .map((secret) => secret as string)
      .sort((a, b) => b.length - a.length);
  }

  /** Returns the text with each secret replaced by `***`. */
  text(text: string): string {
    let clean = text;
    for (const secret of this.#secrets) {
      clean = clean.replaceAll(secret, "***");
      // as written in an SQL literal
      const doubled = secret.replaceAll("'", "''");
      if (doubled !== secret) clean = clean.replaceAll(doubled, "***");
    }
    return redact(clean);
  }

  /** Returns plain data with all of its texts redacted. */
  value<Value>(value: Value): Value {
    return this.#clean(value) as Value;
  }

  #clean(value: unknown): unknown {
    if (typeof value === "string") return this.text(value);
    if (Array.isArray(value)) return value.map((each) => this.#clean(each));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, each]) => [this.text(key), this.#clean(each)]),
    );
  }
}

/** The literals of a condition, unquoted. */
function literalsOf(predicate: string): readonly string[] {
  const quoted = [...predicate.matchAll(/'((?:[^']|'')*)'/g)]
    .map(([, text = ""]) => text.replaceAll("''", "'"));
  const dollars = [...predicate.matchAll(/\$(\w*)\$(.*?)\$\1\$/gs)].map(([, , text = ""]) => text);
  return [...quoted, ...dollars].flatMap((text) => [text, text.replace(/^%+|%+$/g, "")]);
}
