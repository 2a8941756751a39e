import { redact } from "../../core/internal.ts";
import { parseUrl } from "../../postgres/internal.ts";

/** What must not appear anywhere. */
export interface Secrets {
  readonly urls: readonly string[];
  /** Conditions of rules. */
  readonly predicates: readonly string[];
}

/**
 * Shorter texts are words that appear by themselves; they are hidden only as a part of their URL or
 * condition.
 */
const shortest = 3;

/**
 * Takes the secrets of one job out of texts: URLs, passwords as they are and as they are encoded,
 * conditions and the literals in them, which a server quotes when it does not like them.
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
      .filter((secret) => secret !== undefined && secret.length >= shortest)
      .map((secret) => secret as string)
      .sort((a, b) => b.length - a.length);
  }

  /** The text with `***` for each secret. */
  text(text: string): string {
    let clean = text;
    for (const secret of this.#secrets) {
      clean = clean.replaceAll(secret, "***");
      // as it stands within a literal of SQL or a text of JSON
      const doubled = secret.replaceAll("'", "''");
      if (doubled !== secret) clean = clean.replaceAll(doubled, "***");
    }
    return redact(clean);
  }

  /** Plain data with every text in it cleaned. */
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

/** The literals of a condition, without their quotes. */
function literalsOf(predicate: string): readonly string[] {
  const quoted = [...predicate.matchAll(/'((?:[^']|'')*)'/g)]
    .map(([, text = ""]) => text.replaceAll("''", "'"));
  const dollars = [...predicate.matchAll(/\$(\w*)\$(.*?)\$\1\$/gs)].map(([, , text = ""]) => text);
  return [...quoted, ...dollars].flatMap((text) => [text, text.replace(/^%+|%+$/g, "")]);
}
