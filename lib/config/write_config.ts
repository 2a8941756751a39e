/**
 * A choice of databases and tables as a configuration file.
 *
 * @module
 */
import { stringify } from "smol-toml";
import { printPart } from "../rules/internal.ts";

/** What was chosen. */
export interface SavedChoice {
  readonly databases: readonly string[];
  /** By database, the tables that were left out. */
  readonly excluded: ReadonlyMap<
    string,
    readonly { readonly schema: string; readonly name: string }[]
  >;
}

/** The choice as TOML. Reading it gives the same choice. */
export function writeChoice({ databases, excluded }: SavedChoice): string {
  const sections = databases.flatMap((database): [string, object][] => {
    const tables = excluded.get(database) ?? [];
    return tables.length === 0 ? [] : [[database, {
      exclude_tables: tables.map(({ schema, name }) =>
        schema === "public" ? printPart([name]) : `${printPart([schema])}.${printPart([name])}`
      ),
    }]];
  });
  const document = {
    include_databases: databases.map((name) => printPart([name])),
    ...(sections.length > 0 ? { databases: Object.fromEntries(sections) } : {}),
  };
  return `# Chosen with --interactive. Use it with --config; docs/reference/configuration.md explains what else it can say.\n${
    stringify(document)
  }\n`;
}
