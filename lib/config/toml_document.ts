import { type AST, ParseError, parseTOML } from "toml-eslint-parser";

/** A path within a document: keys, and numbers for elements of lists. */
export type DocumentPath = readonly (string | number)[];

/** A document with the line number of each value. */
export interface TomlDocument {
  readonly value: Readonly<Record<string, unknown>>;
  /** The line of a path, or of the nearest enclosing path; 1 for the document. */
  readonly lineOf: (path: DocumentPath) => number;
}

/** Text that is not TOML. */
export interface TomlSyntaxError {
  readonly message: string;
  readonly line: number;
  readonly column: number;
}

/** Reads TOML 1.0. */
export function readToml(text: string): TomlDocument | { readonly error: TomlSyntaxError } {
  try {
    const [body] = parseTOML(text, { tomlVersion: "1.0.0" }).body;
    return new DocumentBuilder().build(body);
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    const { message, lineNumber: line, column } = error;
    return { error: { message, line, column: column + 1 } };
  }
}

type Container = Record<string | number, unknown>;

/** Walks the syntax tree: the parser's own conversion to values drops the positions. */
class DocumentBuilder {
  readonly #root: Record<string, unknown> = {};
  readonly #lines = new Map<string, number>();

  build({ body }: AST.TOMLTopLevelTable): TomlDocument {
    for (const node of body) {
      if (node.type === "TOMLTable") this.#table(node);
      else this.#keyValue(node, this.#root, []);
    }
    return { value: this.#root, lineOf: (path) => this.#lineOf(path) };
  }

  #lineOf(path: DocumentPath): number {
    for (let length = path.length; length > 0; length--) {
      const line = this.#lines.get(JSON.stringify(path.slice(0, length)));
      if (line !== undefined) return line;
    }
    return 1;
  }

  /** The first mention counts. */
  #note(path: DocumentPath, { loc }: AST.TOMLNode): void {
    const key = JSON.stringify(path);
    if (!this.#lines.has(key)) this.#lines.set(key, loc.start.line);
  }

  #table(node: AST.TOMLTable): void {
    const path = node.resolvedKey;
    if (node.kind === "array") this.#note(path.slice(0, -1), node);
    this.#note(path, node);
    let container: Container = this.#root;
    for (const [index, key] of path.entries()) {
      container = inside(container, key, typeof path[index + 1] === "number" ? [] : {});
    }
    for (const each of node.body) this.#keyValue(each, container, path);
  }

  #keyValue({ key, value }: AST.TOMLKeyValue, table: Container, at: DocumentPath): void {
    const names = key.keys.map((part) => part.type === "TOMLBare" ? part.name : part.value);
    let container = table;
    let path = at;
    for (const [index, name] of names.entries()) {
      path = [...path, name];
      this.#note(path, key);
      if (index < names.length - 1) container = inside(container, name, {});
    }
    define(container, names.at(-1)!, this.#value(value, path));
  }

  #value(node: AST.TOMLContentNode, path: DocumentPath): unknown {
    switch (node.type) {
      case "TOMLValue":
        return node.value;
      case "TOMLArray":
        return node.elements.map((element, index) => {
          this.#note([...path, index], element);
          return this.#value(element, [...path, index]);
        });
      case "TOMLInlineTable": {
        const table: Container = {};
        for (const each of node.body) this.#keyValue(each, table, path);
        return table;
      }
    }
  }
}

function inside(container: Container, key: string | number, empty: object): Container {
  if (!Object.hasOwn(container, key)) define(container, key, empty);
  return container[key] as Container;
}

/** Assignment would set the prototype for a key named `__proto__`. */
function define(container: Container, key: string | number, value: unknown): void {
  Object.defineProperty(container, key, {
    value,
    writable: true,
    enumerable: true,
    configurable: true,
  });
}
