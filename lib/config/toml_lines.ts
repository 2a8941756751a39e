/**
 * On which line of a TOML document each key and element is. The parser tells it only for errors of
 * syntax.
 *
 * Source: https://toml.io/en/v1.1.0
 *
 * @module
 */

/** A way into a document: keys, and numbers for elements. */
export type DocumentPath = readonly (string | number)[];

/** Line numbers by path. */
export class TomlLines {
  readonly #lines = new Map<string, number>();

  /** The line of a path, or of the nearest thing around it; 1 for the document. */
  lineOf(path: DocumentPath): number {
    for (let length = path.length; length > 0; length--) {
      const line = this.#lines.get(JSON.stringify(path.slice(0, length)));
      if (line !== undefined) return line;
    }
    return 1;
  }

  /** The first mention counts. */
  set(path: DocumentPath, line: number): void {
    const key = JSON.stringify(path);
    if (!this.#lines.has(key)) this.#lines.set(key, line);
  }
}

/** Finds the lines of everything in a document that is valid TOML. */
export function readTomlLines(text: string): TomlLines {
  return new Scanner(text).document();
}

class Scanner {
  readonly #text: string;
  readonly #lines = new TomlLines();
  /** How many elements each array of tables has so far. */
  readonly #counts = new Map<string, number>();
  #at = 0;
  #line = 1;

  constructor(text: string) {
    this.#text = text;
  }

  document(): TomlLines {
    let table: DocumentPath = [];
    for (;;) {
      this.#blank();
      if (this.#at >= this.#text.length) return this.#lines;
      if (this.#peek() === "[") table = this.#header();
      else this.#assignment(table);
    }
  }

  #peek(length = 1): string {
    return this.#text.slice(this.#at, this.#at + length);
  }

  #step(count = 1): void {
    for (; count > 0; count--) {
      if (this.#text.charAt(this.#at++) === "\n") this.#line++;
    }
  }

  /** White space, line breaks, comments. */
  #blank(): void {
    for (; this.#at < this.#text.length;) {
      if (/\s/.test(this.#peek())) this.#step();
      else if (this.#peek() === "#") {
        while (this.#at < this.#text.length && this.#peek() !== "\n") this.#step();
      } else return;
    }
  }

  #header(): DocumentPath {
    const line = this.#line;
    const isArray = this.#peek(2) === "[[";
    this.#step(isArray ? 2 : 1);
    const keys = this.#key();
    this.#step(isArray ? 2 : 1);
    const parent = this.#resolve(keys.slice(0, -1));
    const path = [...parent, keys.at(-1)!];
    if (!isArray) {
      const resolved = this.#resolve(keys);
      this.#lines.set(resolved, line);
      return resolved;
    }
    const key = JSON.stringify(path);
    const index = this.#counts.get(key) ?? 0;
    this.#counts.set(key, index + 1);
    this.#lines.set(path, line);
    this.#lines.set([...path, index], line);
    return [...path, index];
  }

  /** Keys of a header lead through the last element of each array of tables. */
  #resolve(keys: readonly string[]): DocumentPath {
    let path: DocumentPath = [];
    for (const key of keys) {
      path = [...path, key];
      const count = this.#counts.get(JSON.stringify(path));
      if (count !== undefined) path = [...path, count - 1];
    }
    return path;
  }

  #assignment(table: DocumentPath): void {
    const line = this.#line;
    const keys = this.#key();
    this.#step(); // =
    let path = table;
    for (const key of keys) {
      path = [...path, key];
      this.#lines.set(path, line);
    }
    this.#value(path);
  }

  /** A key with its dots, up to what follows it. */
  #key(): readonly string[] {
    const keys: string[] = [];
    for (;;) {
      this.#blank();
      const start = this.#at;
      if (/["']/.test(this.#peek())) {
        const quote = this.#peek();
        this.#string();
        const raw = this.#text.slice(start, this.#at);
        keys.push(quote === '"' ? unescape(raw.slice(1, -1)) : raw.slice(1, -1));
      } else {
        while (/[^\s.=\]#]/.test(this.#peek())) this.#step();
        keys.push(this.#text.slice(start, this.#at));
      }
      this.#blank();
      if (this.#peek() !== ".") return keys;
      this.#step();
    }
  }

  #value(path: DocumentPath): void {
    this.#blank();
    const first = this.#peek();
    if (first === '"' || first === "'") return this.#string();
    if (first === "[") return this.#array(path);
    if (first === "{") return this.#inlineTable(path);
    while (this.#at < this.#text.length && /[^,\]}\n#]/.test(this.#peek())) this.#step();
  }

  #array(path: DocumentPath): void {
    this.#step();
    for (let index = 0;; index++) {
      this.#separators();
      if (this.#peek() === "]" || this.#at >= this.#text.length) return this.#step();
      this.#lines.set([...path, index], this.#line);
      this.#value([...path, index]);
    }
  }

  #inlineTable(path: DocumentPath): void {
    this.#step();
    for (;;) {
      this.#separators();
      if (this.#peek() === "}" || this.#at >= this.#text.length) return this.#step();
      this.#assignment(path);
    }
  }

  #separators(): void {
    this.#blank();
    while (this.#peek() === ",") {
      this.#step();
      this.#blank();
    }
  }

  #string(): void {
    const quote = this.#peek();
    const triple = this.#peek(3) === quote.repeat(3);
    this.#step(triple ? 3 : 1);
    for (; this.#at < this.#text.length;) {
      if (quote === '"' && this.#peek() === "\\") this.#step(2);
      else if (!triple && this.#peek() === quote) return this.#step();
      else if (triple && this.#peek(3) === quote.repeat(3)) {
        this.#step(3);
        // up to two quotes may stand before the closing ones
        while (this.#peek() === quote) this.#step();
        return;
      } else this.#step();
    }
  }
}

function unescape(text: string): string {
  return text.replace(
    /\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2})|(.))/gs,
    (_, four, eight, two, other) => {
      const code = four ?? eight ?? two;
      if (code !== undefined) return String.fromCodePoint(parseInt(code, 16));
      return ({ b: "\b", t: "\t", n: "\n", f: "\f", r: "\r", e: "\x1b" } as Record<string, string>)[
        other
      ] ?? other;
    },
  );
}
