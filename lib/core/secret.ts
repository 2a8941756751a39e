/**
 * Values that must never be printed, and texts to redact before they are.
 *
 * @module
 */

const hidden = "***";

/** Wraps a secret so that logging, interpolation, JSON and `console.log` show `***`. */
export class Secret {
  readonly #value: string;

  /** Wraps a value that must never be printed. */
  constructor(value: string) {
    this.#value = value;
  }

  /** The secret itself; call this only to send it to the server or write it to a 0600 file. */
  reveal(): string {
    return this.#value;
  }

  /** Returns `***`, never the value. */
  toString(): string {
    return hidden;
  }

  /** Returns `***`, so that `JSON.stringify` never contains the value. */
  toJSON(): string {
    return hidden;
  }

  /** Returns `***` when Deno's console prints it. */
  [Symbol.for("Deno.customInspect")](): string {
    return hidden;
  }

  /** Returns `***` when Node's `util.inspect` prints it. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return hidden;
  }
}

/**
 * Removes passwords from a text: in the user part of URLs, in `password=` parameters and keywords,
 * in `PASSWORD '…'` of statements (dumps quote that word where it is an option), and in all options
 * of user mappings.
 *
 * A last line of defense for texts from child processes and servers; the tool's own texts contain
 * no secrets.
 */
export function redact(text: string): string {
  return text
    // to the last @ of the word: / ? # and @ in a password may lack their percent-encoding
    .replace(/(\b[a-z][a-z0-9+.-]*:\/\/[^\s:/?#@]*):\S*@/gi, `$1:${hidden}@`)
    // within an SQL literal the quotes of the value are doubled
    .replace(
      /(\b(?:ssl)?password\s*=\s*)(''(?:[^']|\\'')*''|'(?:[^'\\]|\\.)*'|[^\s&]+)/gi,
      `$1${hidden}`,
    )
    // a truncated text may end in the middle of the value
    .replace(/(password"?\s+)E?'(?:[^']|'')*(?:'|$)/gi, `$1'${hidden}'`)
    .replace(
      /\bCREATE USER MAPPING\b.*/gis,
      (mapping) => mapping.replace(/'(?:[^']|'')*(?:'|$)/g, `'${hidden}'`),
    );
}
