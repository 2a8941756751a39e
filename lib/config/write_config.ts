/**
 * A selection of databases and tables as a configuration file.
 *
 * @module
 */
import { printPart } from "../rules/internal.ts";

/** What was selected. */
export interface SavedChoice {
  /** The databases. */
  readonly databases: readonly string[];
  /** The tables left out, by database. */
  readonly excluded: ReadonlyMap<
    string,
    readonly { readonly schema: string; readonly name: string }[]
  >;
}

/** The selection as TOML. Reading it gives the same selection. */
export function writeChoice({ databases, excluded }: SavedChoice): string {
  const lines = [
    "# Selected with --interactive. Use it with --config; docs/reference/configuration.md explains all keys.",
    `include_databases = ${printList(databases.map((name) => printPart([name])))}`,
  ];
  for (const database of databases) {
    const tables = excluded.get(database) ?? [];
    if (tables.length === 0) continue;
    const names = tables.map(({ schema, name }) =>
      schema === "public" ? printPart([name]) : `${printPart([schema])}.${printPart([name])}`
    );
    lines.push(
      "",
      `[databases.${printString(database)}]`,
      `exclude_tables = ${printList(names)}`,
    );
  }
  return `${lines.join("\n")}\n`;
}

function printList(texts: readonly string[]): string {
  return `[${texts.map(printString).join(", ")}]`;
}

/** A basic string; TOML escapes like JSON, and DEL as well. */
function printString(text: string): string {
  return JSON.stringify(text).replaceAll("\x7f", "\\u007f");
}
