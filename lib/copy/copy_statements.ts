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

/** What the statements depend on. */
export type CopiedPart =
  & Pick<CopyPart, "table" | "range" | "format" | "freeze">
  & Partial<Pick<CopyPart, "predicate">>;

/**
 * `COPY … TO STDOUT` of the table's own rows: those of its children are copied as theirs.
 *
 * @param encoding the source database's encoding: text then passes unchanged, also what is no valid
 * text (SQL_ASCII)
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
  // an extension's condition brings its own WHERE
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
 * The counterpart of {@linkcode copyOutStatement}. A part that may be frozen empties its table in
 * the same transaction, which COPY … FREEZE asks for: the rows then need no later visit by VACUUM.
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
 * A table without columns has rows all the same; COPY knows no empty list, and leaves generated
 * columns out by itself.
 */
function columnList(part: CopiedPart): string {
  const names = columnNames(part);
  return names.length === 0 ? "" : ` (${names.join(", ")})`;
}

function columnNames({ table: { columns } }: CopiedPart): readonly string[] {
  return columns.map(({ name }) => quoteIdentifier(name));
}
