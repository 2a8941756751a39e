/**
 * Values that must never be printed, and texts that must be cleaned before they are.
 *
 * @module
 */

const hidden = "***";

/** Holds a secret so that logging, interpolation, JSON and `console.log` show `***`. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The secret itself; call it only where it leaves for the server or a 0600 file. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return hidden;
  }

  toJSON(): string {
    return hidden;
  }

  [Symbol.for("Deno.customInspect")](): string {
    return hidden;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return hidden;
  }
}

/**
 * Removes passwords from a text: the user part of URLs, `password=` parameters and keywords, the
 * `PASSWORD '…'` of statements, whose word dumps quote where it is an option, and all options of
 * user mappings.
 *
 * A last line of defence for texts from elsewhere (child processes, servers); our own texts hold no
 * secrets.
 */
export function redact(text: string): string {
  return text
    // to the last @ of the word: a password may have / ? # and @ in it that should have been
    // percent-encoded
    .replace(/(\b[a-z][a-z0-9+.-]*:\/\/[^\s:/?#@]*):\S*@/gi, `$1:${hidden}@`)
    // within a literal of SQL the quotes of the value are doubled
    .replace(
      /(\b(?:ssl)?password\s*=\s*)(''(?:[^']|\\'')*''|'(?:[^'\\]|\\.)*'|[^\s&]+)/gi,
      `$1${hidden}`,
    )
    // a text that was cut off may end in the middle of the value
    .replace(/(password"?\s+)E?'(?:[^']|'')*(?:'|$)/gi, `$1'${hidden}'`)
    .replace(
      /\bCREATE USER MAPPING\b.*/gis,
      (mapping) => mapping.replace(/'(?:[^']|'')*(?:'|$)/g, `'${hidden}'`),
    );
}
