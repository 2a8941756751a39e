/**
 * Objects that the target refused to create or fill: which can be set aside, what they depend on,
 * and the remedies. Pure.
 *
 * @module
 */
import { ledgerSchema, redact } from "../../core/internal.ts";
import { type ServerError, SqlState } from "../../postgres/internal.ts";
import { excerpt } from "./adaptation.ts";
import type { DumpStatement } from "../parse/dump_reader.ts";
import { type MentionedNames, mentionedNames } from "../parse/mentioned_names.ts";
import { setsOwner, SqlCursor } from "../parse/sql_cursor.ts";

/** A refused statement, to be retried. */
export interface SetAsideStatement {
  /** The statement as the dump has it. */
  readonly statement: DumpStatement;
  /** Settings of the dump in effect: tablespace, access method, grantor. */
  readonly context: readonly string[];
  /** The error with which the server refused it. */
  readonly error: ServerError;
  /** What to do so that it succeeds; undefined if unknown. */
  readonly remedy: string | undefined;
}

/** An object that does not exist on the target, or is empty there. */
export interface SetAsideObject {
  /** `VIEW public.totals`, `CONSTRAINT public.orders orders_pkey` */
  readonly object: string;
  /** The beginning of the refused statement, secrets redacted. */
  readonly statement: string;
  /** The server's error; for an object that needs another one of the list, that object. */
  readonly reason: string;
  /** SQLSTATE of the refusal: `42501`. */
  readonly sqlState: string;
  /** What to do so that a rerun creates it. */
  readonly remedy: string;
  /** The object of the list that it depends on. */
  readonly cause?: string;
  /** A comment, privilege, owner or label of another object of the list: not counted. */
  readonly attribute?: true;
}

/** SQLSTATEs of a statement that refers to a missing object. */
export const missingStates: ReadonlySet<string> = new Set([
  SqlState.undefinedTable,
  SqlState.undefinedObject,
  SqlState.undefinedFunction,
  SqlState.invalidSchemaName,
  "42703", // undefined_column
]);

/** SQLSTATEs of a statement that needs a key: a foreign key, GROUP BY, ON CONFLICT. */
const needsKey: ReadonlySet<string> = new Set(["42830", "42803", "42P10"]);

/**
 * Whether an error concerns one statement only, so that the run can continue. A server that has
 * become read-only, or a run that has lost its right to write, would refuse all later statements as
 * well.
 */
export function concernsOneObject(error: ServerError): boolean {
  // 25: invalid transaction state (read-only), 28: invalid authorization
  return !/^(?:25|28)/.test(error.sqlState) && error.serverMessage.schema !== ledgerSchema;
}

/** Whether rows would be missing without it: tables, and ATTACH of partitions. */
export function holdsRows({ type, sql }: DumpStatement): boolean {
  const cursor = new SqlCursor(sql);
  if (cursor.words("create")) {
    cursor.words("unlogged");
    return cursor.words("table");
  }
  return type === "TABLE ATTACH";
}

/** Whether the statement sets an attribute of an object rather than creating one. */
export function isAttribute({ sql }: DumpStatement): boolean {
  const cursor = new SqlCursor(sql);
  return cursor.words("comment", "on") || cursor.words("grant") || cursor.words("revoke") ||
    cursor.words("security", "label") ||
    setsOwner(sql);
}

/** Finds the refused statement that another one depends on. */
export class CauseFinder {
  readonly #causes: readonly { readonly item: SetAsideStatement; readonly created: Created }[];

  constructor(items: readonly SetAsideStatement[]) {
    this.#causes = items.flatMap((item) => {
      const created = createdBy(item.statement);
      return created === undefined ? [] : [{ item, created }];
    });
  }

  /**
   * The statement whose object this one needs; undefined when it was refused for another reason.
   */
  causeOf(
    { sql, type, schema, name }: DumpStatement,
    { sqlState }: Pick<ServerError, "sqlState">,
  ): SetAsideStatement | undefined {
    if (!missingStates.has(sqlState) && !needsKey.has(sqlState)) return undefined;
    const names = mentionedNames(sql);
    const found = this.#causes.find(({ item, created }) =>
      item.statement.sql !== sql &&
      (needsKey.has(sqlState) ? needsKeyOf(created, names) : needs(created, names))
    );
    if (found !== undefined) return found.item;
    // the index of a key, which has the same name
    const sameEntry = this.#causes.find(({ item: { statement } }) =>
      statement.sql !== sql && statement.type === type && statement.schema === schema &&
      statement.name === name
    );
    if (sameEntry !== undefined) return sameEntry.item;
    // a missing object of an owner or privilege is a role
    if (sqlState === SqlState.undefinedObject && isAttribute({ sql })) return undefined;
    // members of an extension cannot be recognized by name
    return this.#causes.find(({ created: { kind } }) => kind === "EXTENSION")?.item;
  }

  /** The first cause; undefined when the statement was refused for a reason of its own. */
  rootOf(item: SetAsideStatement): SetAsideStatement | undefined {
    const seen = new Set<SetAsideStatement>([item]);
    let root: SetAsideStatement | undefined;
    for (let at = item;;) {
      const cause = this.causeOf(at.statement, at.error);
      if (cause === undefined || seen.has(cause)) return root;
      seen.add(cause);
      root = cause;
      at = cause;
    }
  }
}

/** What a statement creates, as other statements refer to it. */
interface Created {
  readonly kind: string;
  readonly schema: string | undefined;
  readonly name: string | undefined;
  /** The table of an index, key, trigger, rule or policy. */
  readonly table: string | undefined;
}

/**
 * Cache: parsing is expensive, and each refusal is compared with all earlier ones.
 */
const parsed = new WeakMap<DumpStatement, { readonly created: Created | undefined }>();

/** What a statement creates; undefined for one that only sets an attribute. */
function createdBy(statement: DumpStatement): Created | undefined {
  let known = parsed.get(statement);
  if (known === undefined) {
    known = { created: isAttribute(statement) ? undefined : parseCreated(statement) };
    parsed.set(statement, known);
  }
  return known.created;
}

function parseCreated({ sql, type = "", schema, name }: DumpStatement): Created {
  const cursor = new SqlCursor(sql);
  if (cursor.words("create")) {
    cursor.words("unique");
    if (cursor.words("index")) {
      const index = cursor.identifier();
      cursor.words("on");
      cursor.words("only");
      return { kind: "INDEX", schema, name: index, table: cursor.qualified()?.name };
    }
  } else if (cursor.words("alter", "table")) {
    cursor.words("only");
    const table = cursor.qualified();
    if (cursor.words("add", "constraint")) {
      return { kind: "CONSTRAINT", schema, name: cursor.identifier(), table: table?.name };
    }
    return { kind: "other", schema, name: undefined, table: table?.name };
  } else return { kind: "other", schema, name: undefined, table: undefined };
  if (type === "SCHEMA") return { kind: type, schema: name, name: undefined, table: undefined };
  // `slug(text)`: without the arguments
  const bare = name?.replace(/\(.*$/s, "");
  return { kind: type, schema, name: bare, table: undefined };
}

function needs({ kind, schema, name, table }: Created, names: MentionedNames): boolean {
  if (kind === "SCHEMA") return schema !== undefined && names.qualifiers.has(schema);
  if (name === undefined) return false;
  if (names.has(schema, name)) return true;
  if (
    kind === "EVENT TRIGGER" || kind === "EXTENSION" || kind === "SERVER" || kind === "LANGUAGE"
  ) {
    return names.words.has(name);
  }
  return table !== undefined && names.words.has(name) && names.has(schema, table);
}

function needsKeyOf({ kind, schema, table }: Created, names: MentionedNames): boolean {
  return (kind === "CONSTRAINT" || kind === "INDEX") && table !== undefined &&
    names.has(schema, table);
}

/** What to do so that a rerun creates the object. */
export function remedyOf({ statement, error, remedy }: SetAsideStatement): string {
  const rerun = "then run the same command again, which creates only what is missing";
  if (statement.type === "MATERIALIZED VIEW DATA" && error.sqlState === SqlState.uniqueViolation) {
    return `the source cannot refresh it either: repair its rows or its unique index on both sides, ${rerun}`;
  }
  if (missingStates.has(error.sqlState) && computesValues(statement)) {
    return "it relies on a search_path, but is computed under an empty one, as in a restore with psql: " +
      "qualify tables and functions with their schemas, or set the function's own path " +
      `(ALTER FUNCTION … SET search_path = …) on both sides; for targets before 17 --restore-search-path own also works; ${rerun}`;
  }
  return remedy === undefined
    ? `remove the cause on the target, or change or drop the object on the source; ${rerun}`
    : `${remedy}; ${rerun}`;
}

/** Whether the statement reads rows, so that user-defined functions run. */
export function computesValues({ type }: DumpStatement): boolean {
  return type === "MATERIALIZED VIEW DATA" || type === "INDEX" || type === "CONSTRAINT" ||
    type === "CHECK CONSTRAINT" || type === "FK CONSTRAINT";
}

/** The server's error in one line, secrets redacted. */
export function reasonOf({ serverMessage, sqlState }: ServerError): string {
  const { message, detail, context } = serverMessage;
  const more = [detail, context?.split("\n")[0]].filter((part) => part !== undefined);
  return excerpt(
    [`${redact(message)} (SQLSTATE ${sqlState})`, ...more.map(redact)].join("; "),
    400,
  );
}
