/**
 * Identifiers and literals, quoted so that every legal name works.
 *
 * @module
 */
import { escapeOpaque, hasOpaqueBytes } from "./opaque_text.ts";

/**
 * Quotes an identifier, always: a name that needs no quotes today may be a keyword in a later
 * version.
 *
 * Source: PostgreSQL documentation, "4.1.1. Identifiers and Key Words".
 *
 * @example
 * ```ts
 * import { quoteIdentifier } from "@seren/postgres-replicator/core";
 * quoteIdentifier('a"b'); // "a""b"
 * ```
 */
export function quoteIdentifier(name: string): string {
  if (name === "") throw new TypeError("an identifier cannot be empty");
  if (name.includes("\0")) throw new TypeError("an identifier cannot contain a NUL character");
  return `"${name.replaceAll('"', '""')}"`;
}

/** Quotes `schema.name`. */
export function quoteQualified(schema: string, name: string): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
}

/**
 * Quotes a string literal; safe for any `standard_conforming_strings`. Bytes that are not valid
 * UTF-8 (see `decodeOpaque`) are written as `\xe9`, which a server reads as bytes in the database's
 * encoding.
 *
 * Source: PostgreSQL documentation, "4.1.2.2. String Constants with C-Style Escapes".
 */
export function quoteLiteral(text: string): string {
  if (text.includes("\0")) throw new TypeError("a string literal cannot contain a NUL character");
  const doubled = text.replaceAll("'", "''");
  if (hasOpaqueBytes(text)) return ` E'${escapeOpaque(doubled.replaceAll("\\", "\\\\"))}'`;
  return doubled.includes("\\") ? ` E'${doubled.replaceAll("\\", "\\\\")}'` : `'${doubled}'`;
}

/**
 * A string constant as the server's `%L` writes it, with bytes that are not valid UTF-8 escaped as
 * {@linkcode quoteLiteral} does.
 */
export function escapedLiteral(literal: string): string {
  if (!hasOpaqueBytes(literal)) return literal;
  return escapeOpaque(literal.startsWith("'") ? ` E${literal}` : literal);
}

/** A relation's full name as in the catalogs: neither quoted nor folded. */
export interface TableName {
  /** Schema name, unquoted: `public`. */
  readonly schema: string;
  /** Relation name without schema, unquoted: `orders`. */
  readonly name: string;
}

/** A key for sets and maps: names may contain any character. */
export function tableKey({ schema, name }: TableName): string {
  return JSON.stringify([schema, name]);
}

/**
 * A relation as a user would write it: `orders`, `analytics.orders`; quoted only where needed.
 */
export function displayName({ schema, name }: TableName): string {
  return schema === "public" ? displayPart(name) : `${displayPart(schema)}.${displayPart(name)}`;
}

/** Lists up to `max` relations and counts the others: `a, b and 3 more`. */
export function nameSome(tables: readonly TableName[], max = 5): string {
  const names = tables.slice(0, max).map(displayName).join(", ");
  return tables.length > max ? `${names} and ${tables.length - max} more` : names;
}

function displayPart(part: string): string {
  return /^[\p{Ll}_][\p{Ll}\p{Nd}_$]*$/u.test(part) ? part : quoteIdentifier(part);
}
