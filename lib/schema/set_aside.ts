/**
 * Objects that the target refused to create or to fill: which may wait, what they hang on, and what
 * to do about them. Pure.
 *
 * @module
 */
import { ledgerSchema, redact } from "../core/internal.ts";
import { type ServerError, SqlState } from "../postgres/internal.ts";
import { excerpt } from "./adaptation.ts";
import type { DumpStatement } from "./dump_reader.ts";
import { type MentionedNames, mentionedNames } from "./mentioned_names.ts";
import { setsOwner, SqlCursor } from "./sql_cursor.ts";

/** A statement that was refused, for it to be tried again. */
export interface SetAsideStatement {
  readonly statement: DumpStatement;
  /** Settings of the dump that were in effect: the tablespace, the access method, the grantor. */
  readonly context: readonly string[];
  readonly error: ServerError;
  readonly remedy: string | undefined;
}

/** An object that is not on the target, or is empty there. */
export interface SetAsideObject {
  /** `VIEW public.totals`, `CONSTRAINT public.orders orders_pkey` */
  readonly object: string;
  /** The beginning of the statement that the target refused, without secrets. */
  readonly statement: string;
  /** What the server said. For what needs another object of this list, which one. */
  readonly reason: string;
  readonly sqlState: string;
  readonly remedy: string;
  /** The object of this list that it cannot exist without. */
  readonly cause?: string;
  /** Comments, privileges, ownership and the like of another object of the list: not counted. */
  readonly attribute?: true;
}

/** SQLSTATEs of a statement that names what does not exist. */
export const missingStates: ReadonlySet<string> = new Set([
  SqlState.undefinedTable,
  SqlState.undefinedObject,
  SqlState.undefinedFunction,
  SqlState.invalidSchemaName,
  "42703", // undefined_column
]);

/** SQLSTATEs of a statement that counts on a key: a foreign key's parent, GROUP BY, ON CONFLICT. */
const needsKey: ReadonlySet<string> = new Set(["42830", "42803", "42P10"]);

/**
 * Whether an error says something of the statement alone, so that everything else can go on. A
 * server that has become read-only, or a run that has lost its right to write, would refuse all
 * that follows as well.
 */
export function concernsOneObject(error: ServerError): boolean {
  // 25: invalid transaction state (read-only), 28: invalid authorization
  return !/^(?:25|28)/.test(error.sqlState) && error.serverMessage.schema !== ledgerSchema;
}

/** Whether rows would be missing without it: tables, and partitions that belong to no table. */
export function holdsRows({ type, sql }: DumpStatement): boolean {
  const cursor = new SqlCursor(sql);
  if (cursor.words("create")) {
    cursor.words("unlogged");
    return cursor.words("table");
  }
  return type === "TABLE ATTACH";
}

/** Whether the statement gives something to an object: it has no life of its own. */
export function isAttribute({ sql }: DumpStatement): boolean {
  const cursor = new SqlCursor(sql);
  return cursor.words("comment", "on") || cursor.words("grant") || cursor.words("revoke") ||
    cursor.words("security", "label") ||
    setsOwner(sql);
}

/** Finds which of the refused statements another one hangs on. */
export class CauseFinder {
  readonly #causes: readonly { readonly item: SetAsideStatement; readonly made: Made }[];

  constructor(items: readonly SetAsideStatement[]) {
    this.#causes = items.flatMap((item) => {
      const made = readOnce(item.statement);
      return made === undefined ? [] : [{ item, made }];
    });
  }

  /** The statement whose object this one needs; undefined when the reason is its own. */
  causeOf(
    { sql, type, schema, name }: DumpStatement,
    { sqlState }: Pick<ServerError, "sqlState">,
  ): SetAsideStatement | undefined {
    if (!missingStates.has(sqlState) && !needsKey.has(sqlState)) return undefined;
    const names = mentionedNames(sql);
    const found = this.#causes.find(({ item, made }) =>
      item.statement.sql !== sql &&
      (needsKey.has(sqlState) ? needsKeyOf(made, names) : needs(made, names))
    );
    if (found !== undefined) return found.item;
    // the index of a key that is made from it, which bears the same name
    const sameEntry = this.#causes.find(({ item: { statement } }) =>
      statement.sql !== sql && statement.type === type && statement.schema === schema &&
      statement.name === name
    );
    if (sameEntry !== undefined) return sameEntry.item;
    // what an owner or a privilege misses so is a role
    if (sqlState === SqlState.undefinedObject && isAttribute({ sql })) return undefined;
    // what belongs to an extension cannot be told by its name
    return this.#causes.find(({ made: { kind } }) => kind === "EXTENSION")?.item;
  }

  /** The end of the chain; undefined when the reason is its own. */
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

/** What a statement makes, as far as others name it. */
interface Made {
  readonly kind: string;
  readonly schema: string | undefined;
  readonly name: string | undefined;
  /** Of an index, key, trigger, rule or policy. */
  readonly table: string | undefined;
}

/**
 * Reading a statement costs more than comparing it, and each refusal looks through all that came
 * before.
 */
const read = new WeakMap<DumpStatement, { readonly made: Made | undefined }>();

/** What a statement makes; undefined for one that has no life of its own. */
function readOnce(statement: DumpStatement): Made | undefined {
  let known = read.get(statement);
  if (known === undefined) {
    known = { made: isAttribute(statement) ? undefined : madeBy(statement) };
    read.set(statement, known);
  }
  return known.made;
}

function madeBy({ sql, type = "", schema, name }: DumpStatement): Made {
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
  // `slug(text)`: the arguments are no part of the name
  const bare = name?.replace(/\(.*$/s, "");
  return { kind: type, schema, name: bare, table: undefined };
}

function needs({ kind, schema, name, table }: Made, names: MentionedNames): boolean {
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

function needsKeyOf({ kind, schema, table }: Made, names: MentionedNames): boolean {
  return (kind === "CONSTRAINT" || kind === "INDEX") && table !== undefined &&
    names.has(schema, table);
}

/** What to do so that a rerun creates the object. */
export function remedyOf({ statement, error, remedy }: SetAsideStatement): string {
  const rerun = "then run the same command again: it creates only what is missing";
  if (statement.type === "MATERIALIZED VIEW DATA" && error.sqlState === SqlState.uniqueViolation) {
    return `the source cannot refresh it either: repair its rows or its unique index there and here, ${rerun}`;
  }
  if (missingStates.has(error.sqlState) && computesValues(statement)) {
    return "it counts on a search_path, and is computed under an empty one as pg_dump and psql do: " +
      "name tables and functions with their schemas, or give the function a path of its own " +
      `(ALTER FUNCTION … SET search_path = …), on both sides; where the target is older than 17 --restore-search-path own does as well; ${rerun}`;
  }
  return remedy === undefined
    ? `remove the cause on the target, or change or drop the object on the source; ${rerun}`
    : `${remedy}; ${rerun}`;
}

/** Whether rows are read by the statement, so that functions of users run. */
export function computesValues({ type }: DumpStatement): boolean {
  return type === "MATERIALIZED VIEW DATA" || type === "INDEX" || type === "CONSTRAINT" ||
    type === "CHECK CONSTRAINT" || type === "FK CONSTRAINT";
}

/** What the server said, in one line, without secrets. */
export function reasonOf({ serverMessage, sqlState }: ServerError): string {
  const { message, detail, context } = serverMessage;
  const more = [detail, context?.split("\n")[0]].filter((part) => part !== undefined);
  return excerpt(
    [`${redact(message)} (SQLSTATE ${sqlState})`, ...more.map(redact)].join("; "),
    400,
  );
}
