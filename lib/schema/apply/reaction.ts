/**
 * What to do when the target refuses a statement. Pure.
 *
 * @module
 */
import { type ServerError, SqlState } from "../../postgres/internal.ts";
import type { DumpStatement } from "../parse/dump_reader.ts";
import { setsOwner, SqlCursor } from "../parse/sql_cursor.ts";
import { remedyFor } from "./refusal_remedy.ts";
import { missingStates } from "./set_aside.ts";

/** What to do about a refusal. */
export type Reaction =
  | { readonly kind: "ignore" | "defer" }
  | {
    readonly kind: "report";
    readonly consequence: string;
    readonly instead?: string;
    readonly remedy?: string;
  }
  | { readonly kind: "fail"; readonly remedy: string | undefined };

/**
 * Where objects were excluded, objects that depend on them are left out too; never tables, which
 * hold rows.
 */
export function reactionToMissing(
  statement: DumpStatement,
  { sqlState }: ServerError,
): Reaction | undefined {
  if (!missingStates.has(sqlState) || statement.type === undefined) return undefined;
  if (/^(?:COMMENT ON|GRANT|REVOKE|SECURITY LABEL)\s/.test(statement.sql)) {
    return { kind: "ignore" };
  }
  if (setsOwner(statement.sql)) return { kind: "ignore" };
  if (statement.type === "TABLE" || statement.type === "EXTENSION") return undefined;
  return {
    kind: "report",
    consequence: "left out, because it needs an object that a rule excludes",
    remedy: "include the object that it needs, or create it on the target yourself",
  };
}

const duplicateSchema = "42P06";

/** Privileges, owners and comments are reported and do without; what holds rows fails. */
export function reactionTo(
  statement: DumpStatement,
  { error, targetIsOlder }: { readonly error: ServerError; readonly targetIsOlder: boolean },
): Reaction {
  const cursor = new SqlCursor(statement.sql);
  const { sqlState } = error;
  if (cursor.words("set", "default_tablespace")) {
    return {
      kind: "report",
      consequence: "the tablespace does not exist; the default tablespace is used",
      instead: "SET default_tablespace = '';",
    };
  }
  if (cursor.words("set", "session", "authorization") || cursor.words("set", "role")) {
    return { kind: "report", consequence: "the privileges are granted by the tool's own role" };
  }
  if (
    statement.type === undefined && cursor.words("set") && sqlState === SqlState.undefinedObject
  ) {
    return { kind: "ignore" };
  }
  // new databases have one
  if (
    cursor.words("create", "schema") && cursor.identifier() === "public" &&
    sqlState === duplicateSchema
  ) {
    return { kind: "ignore" };
  }
  // depends on an event trigger whose refusal has been reported
  if (
    /^(?:ALTER|COMMENT ON) EVENT TRIGGER\s/.test(statement.sql) &&
    sqlState === SqlState.undefinedObject
  ) {
    return { kind: "ignore" };
  }
  if (setsOwner(statement.sql)) return { kind: "defer" };
  if (/^ALTER (?:DATABASE|ROLE)\s/.test(statement.sql)) {
    return { kind: "report", consequence: "setting not copied" };
  }
  if (/^(?:GRANT|REVOKE|ALTER DEFAULT PRIVILEGES)\s/.test(statement.sql)) {
    return { kind: "report", consequence: "privilege not copied" };
  }
  if (sqlState === SqlState.insufficientPrivilege && /^COMMENT ON\s/.test(statement.sql)) {
    return { kind: "report", consequence: "comment not copied" };
  }
  if (/^SECURITY LABEL\s/.test(statement.sql)) {
    return { kind: "report", consequence: "security label not copied" };
  }
  if (sqlState === SqlState.insufficientPrivilege && statement.type === "EVENT TRIGGER") {
    return { kind: "report", consequence: "event trigger not copied" };
  }
  if (/^ALTER TABLE .* SET COMPRESSION /s.test(statement.sql)) {
    return { kind: "report", consequence: "compression method not copied" };
  }
  return { kind: "fail", remedy: remedyFor(statement, { sqlState, targetIsOlder }) };
}
