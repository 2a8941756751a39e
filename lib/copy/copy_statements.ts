/**
 * The COPY statements for a table's rows.
 *
 * Source: PostgreSQL documentation, "COPY".
 *
 * @module
 */
import { quoteIdentifier, quoteLiteral, quoteQualified } from "../core/mod.ts";
import type { Table } from "../catalog/mod.ts";

/** What of a table the statements depend on. */
export type CopiedTable = Pick<Table, "schema" | "name" | "columns" | "extensionCondition">;

/**
 * `COPY … TO STDOUT` of the table's own rows: those of its children are copied as theirs.
 *
 * @param encoding the source database's encoding: bytes then pass unchanged, also those that are no valid text (SQL_ASCII)
 */
export function copyOutStatement(table: CopiedTable, encoding: string): string {
  const { extensionCondition } = table;
  const rows = extensionCondition
    ? `(SELECT ${columnNames(table).join(", ")} FROM ONLY ${relation(table)} ${extensionCondition})`
    : `${relation(table)}${columnList(table)}`;
  return `COPY ${rows} TO STDOUT (ENCODING ${quoteLiteral(encoding)})`;
}

/** `COPY … FROM STDIN`, the counterpart of {@linkcode copyOutStatement}. */
export function copyInStatement(table: CopiedTable, encoding: string): string {
  return `COPY ${relation(table)}${columnList(table)} FROM STDIN (ENCODING ${
    quoteLiteral(encoding)
  })`;
}

function relation({ schema, name }: CopiedTable): string {
  return quoteQualified(schema, name);
}

/** A table without columns has rows all the same; COPY knows no empty list, and leaves generated columns out by itself. */
function columnList(table: CopiedTable): string {
  const names = columnNames(table);
  return names.length === 0 ? "" : ` (${names.join(", ")})`;
}

function columnNames({ columns }: CopiedTable): readonly string[] {
  return columns.map(({ name }) => quoteIdentifier(name));
}
