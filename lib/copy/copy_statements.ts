/**
 * The COPY statements for a part of a table's rows.
 *
 * Source: PostgreSQL documentation, "COPY".
 *
 * @module
 */
import { quoteIdentifier, quoteLiteral, quoteQualified } from "../core/internal.ts";
import { inParentheses } from "../rules/internal.ts";
import { rangeCondition } from "./part_range.ts";
import type { CopyPart } from "./plan.ts";

/** The properties of a part that the statements depend on. */
export type CopiedPart =
  & Pick<CopyPart, "table" | "range" | "format" | "freeze">
  & Partial<Pick<CopyPart, "predicate">>;

/**
 * `COPY … TO STDOUT` of the table's own rows, without those of child tables.
 *
 * @param encoding the source database's encoding: text then passes unchanged, even invalid text
 * (SQL_ASCII)
 */
export function copyOutStatement(part: CopiedPart, encoding: string): string {
  const { table: { name, extensionCondition }, range, predicate } = part;
  const conditions = [
    ...(range === undefined ? [] : [rangeCondition(range)]),
    ...(predicate === undefined ? [] : [inParentheses(predicate)]),
  ];
  const where = conditions.length === 0 ? "" : ` WHERE ${conditions.join(" AND ")}`;
  const selected = `SELECT ${columnNames(part).join(", ")} FROM`;
  const own = `ONLY ${relation(part)}`;
  // an extension's condition starts with WHERE
  const rows = !extensionCondition
    ? where === "" ? `${relation(part)}${columnList(part)}` : `(${selected} ${own}${where})`
    : where === ""
    ? `(${selected} ${own} ${extensionCondition})`
    : `(${selected} (SELECT * FROM ${own} ${extensionCondition}) AS ${
      quoteIdentifier(name)
    }${where})`;
  return `COPY ${rows} TO STDOUT (${options(part, encoding).join(", ")})`;
}

/**
 * The counterpart of {@linkcode copyOutStatement}. A part that may be frozen truncates its table in
 * the same transaction, as COPY … FREEZE requires; VACUUM need not freeze the rows later.
 */
export function copyInStatement(part: CopiedPart, encoding: string): string {
  const freeze = part.freeze ? ["FREEZE"] : [];
  const copy = `COPY ${relation(part)}${columnList(part)} FROM STDIN ` +
    `(${[...options(part, encoding), ...freeze].join(", ")})`;
  return part.freeze ? `TRUNCATE ONLY ${relation(part)}; ${copy}` : copy;
}

function options({ format }: CopiedPart, encoding: string): readonly string[] {
  return format === "binary"
    ? ["FORMAT binary"]
    : ["FORMAT text", `ENCODING ${quoteLiteral(encoding)}`];
}

function relation({ table: { schema, name } }: CopiedPart): string {
  return quoteQualified(schema, name);
}

/**
 * A table without columns can have rows. COPY accepts no empty list, and omits generated columns.
 */
function columnList(part: CopiedPart): string {
  const names = columnNames(part);
  return names.length === 0 ? "" : ` (${names.join(", ")})`;
}

function columnNames({ table: { columns } }: CopiedPart): readonly string[] {
  return columns.map(({ name }) => quoteIdentifier(name));
}
