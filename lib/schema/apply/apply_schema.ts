/**
 * Applies the statements of a dump to the target.
 *
 * @module
 */
import {
  ExitCode,
  quoteIdentifier,
  redact,
  ReplicatorError,
  type TableName,
} from "../../core/internal.ts";
import {
  ownSearchPath,
  resetRoleStatement,
  ServerError,
  type Session,
  SqlState,
} from "../../postgres/internal.ts";
import { type Adaptation, excerpt, isRefusal } from "./adaptation.ts";
import { adaptStatement, type SchemaTarget } from "./adapt_statement.ts";
import type { DumpStatement } from "../parse/dump_reader.ts";
import { remedyFor } from "./refusal_remedy.ts";
import {
  CauseFinder,
  computesValues,
  concernsOneObject,
  missingStates,
  type SetAsideStatement,
} from "./set_aside.ts";
import { setsOwner, SqlCursor } from "../parse/sql_cursor.ts";
import { keepKnownOptions } from "./unknown_options.ts";

/** A statement of the schema that the target refused. */
export class SchemaError extends ReplicatorError {
  /** Name of the class. */
  override readonly name = "SchemaError";
  /** The server's SQLSTATE. */
  readonly sqlState: string;
  /** The refused statement. */
  readonly statement: DumpStatement;
  /** The server's error. */
  readonly refusal: ServerError;

  /** Wraps the server's error. */
  constructor(
    error: ServerError,
    statement: DumpStatement,
    remedy: string | undefined,
    { needed }: { readonly needed?: string | undefined } = {},
  ) {
    super(error.message, {
      side: error.side,
      object: describeStatement(statement),
      details: [
        ...error.details,
        ...firstLines(statement.sql).map((line) => `SQL: ${line}`),
        ...(needed === undefined ? [] : [needed]),
      ],
      remedy: remedy ?? error.remedy,
      exitCode: ExitCode.stepFailed,
      cause: error,
    });
    this.sqlState = error.sqlState;
    this.statement = statement;
    this.refusal = error;
  }
}

/** Options of {@linkcode applyStatements}. */
export interface ApplyOptions {
  /** Called after each batch. */
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
  /**
   * Statements per Query message.
   *
   * @default 100
   */
  readonly batchSize?: number;
  /**
   * Whether objects were excluded by rules: objects that need them are then reported instead of
   * failing. Tables are always created.
   *
   * @default false
   */
  readonly incomplete?: boolean;
  /**
   * Major version of the source: the remedy for a refusal depends on which side is older.
   */
  readonly sourceMajor?: number | undefined;
  /** Records statements as done, in the transaction that runs them. */
  readonly record?: StatementRecord;
  /**
   * Receives refused statements, and the run continues; without it the first refusal ends the run.
   */
  readonly setAside?: SetAsideSink | undefined;
  /**
   * Whether the caller has begun a transaction for the whole run.
   *
   * @default false
   */
  readonly inTransaction?: boolean;
}

/** Collects refused statements. Several sessions may share it. */
export interface SetAsideSink {
  /** Those collected so far: statements that depend on them are set aside too. */
  readonly items: readonly SetAsideStatement[];
  /** Adds a refused statement to `items`. */
  readonly add: (item: SetAsideStatement) => void;
}

/** Records which statements are done. */
export interface StatementRecord {
  /**
   * SQL that records these statements as done; empty when none needs recording. It is sent before
   * them in the same message, hence in the same transaction.
   */
  readonly statement: (statements: readonly DumpStatement[]) => string;
  /** Called when the transaction has committed. */
  readonly onRecorded: (statements: readonly DumpStatement[]) => void;
}

const noRecord: StatementRecord = { statement: () => "", onRecorded: () => {} };

const batchCharacters = 256 * 1024;

/**
 * Runs the statements in order in one session, whose settings the dump's SET statements change.
 *
 * Each batch is sent as one Query message, which the server runs in an implicit transaction: a
 * refused batch leaves no trace and is run again statement by statement, to find out what to report
 * or adapt. No statement of a schema dump forbids a transaction block.
 *
 * Refused changes of ownership, privileges, comments and labels are reported. Changes of ownership
 * are retried at the end, because a role that is not a superuser can assign an object only to a
 * role with CREATE on its schema, and those privileges come last.
 *
 * Any other refused statement goes to `setAside`.
 *
 * @throws SchemaError when a statement is refused and there is no `setAside`, or when the refusal
 * does not concern that statement alone
 */
export async function applyStatements(
  session: Session,
  statements: readonly DumpStatement[],
  {
    onProgress,
    batchSize = 100,
    incomplete = false,
    record = noRecord,
    setAside,
    inTransaction = false,
    sourceMajor,
  }: ApplyOptions = {},
): Promise<readonly Adaptation[]> {
  const superuser = await isSuperuser(session);
  const target = {
    majorVersion: session.majorVersion,
    superuser,
    resetRole: resetRoleStatement(session.endpoint),
  };
  const run = new SchemaRun(session, target, {
    incomplete,
    record,
    setAside,
    sourceMajor,
    inTransaction,
  });
  let done = 0;
  for (const batch of batches(statements, batchSize)) {
    await run.batch(batch);
    done += batch.length;
    onProgress?.({ done, total: statements.length });
  }
  await run.finish();
  return run.adaptations;
}

const superusers = new WeakMap<Session, boolean>();

/**
 * Queried once per session: on a distant server each query costs as much as indexing a small table.
 */
async function isSuperuser(session: Session): Promise<boolean> {
  const known = superusers.get(session);
  if (known !== undefined) return known;
  const { superuser } = await session.queryOne<{ superuser: boolean }>(
    "SELECT rolsuper AS superuser FROM pg_catalog.pg_roles WHERE rolname = current_user",
  );
  superusers.set(session, superuser);
  return superuser;
}

/** A statement's object for messages: `TABLE public.orders`. */
export function describeStatement(statement: DumpStatement): string {
  const { sql, type, schema, name } = statement;
  if (type === undefined || name === undefined) return excerpt(sql, 60);
  const view = completedView(statement);
  if (view !== undefined) return `VIEW ${view.schema}.${view.name}`;
  return `${type} ${schema === undefined ? "" : `${schema}.`}${name}`;
}

/**
 * The view that a statement completes: pg_dump creates a view that is part of a dependency cycle in
 * two steps, the first without its query.
 */
export function completedView({ sql, type }: DumpStatement): TableName | undefined {
  if (type !== "RULE") return undefined;
  const cursor = new SqlCursor(sql);
  const view = cursor.words("create", "or", "replace", "view") ? cursor.qualified() : undefined;
  return view?.schema === undefined ? undefined : { schema: view.schema, name: view.name };
}

function firstLines(sql: string): readonly string[] {
  const lines = redact(sql.slice(0, 2_000)).split("\n");
  return [
    ...lines.slice(0, 3).map((line) => line.slice(0, 200)),
    ...(lines.length > 3 ? ["…"] : []),
  ];
}

function* batches(
  statements: readonly DumpStatement[],
  size: number,
): Generator<readonly DumpStatement[]> {
  let batch: DumpStatement[] = [];
  let characters = 0;
  let alone = false;
  for (const statement of statements) {
    // may take hours, which would be lost if another statement of the batch were refused
    const fills = statement.type === "MATERIALIZED VIEW DATA";
    const full = batch.length >= size || characters > batchCharacters || fills || alone;
    alone = fills;
    if (batch.length > 0 && full) {
      yield batch;
      batch = [];
      characters = 0;
    }
    batch.push(statement);
    characters += statement.sql.length;
  }
  if (batch.length > 0) yield batch;
}

class SchemaRun {
  readonly #session: Session;
  readonly #target: SchemaTarget;
  readonly #incomplete: boolean;
  readonly #record: StatementRecord;
  readonly #setAside: SetAsideSink | undefined;
  readonly #targetIsOlder: boolean;
  readonly #inTransaction: boolean;
  readonly #context = new SettingsInEffect();
  readonly #deferred: DumpStatement[] = [];
  readonly adaptations: Adaptation[] = [];

  constructor(
    session: Session,
    target: SchemaTarget,
    { incomplete, record, setAside, sourceMajor, inTransaction }:
      & Required<Pick<ApplyOptions, "incomplete" | "record" | "inTransaction">>
      & Pick<ApplyOptions, "setAside" | "sourceMajor">,
  ) {
    this.#targetIsOlder = sourceMajor === undefined || sourceMajor > target.majorVersion;
    this.#session = session;
    this.#target = target;
    this.#incomplete = incomplete;
    this.#record = record;
    this.#setAside = setAside;
    this.#inTransaction = inTransaction;
  }

  async batch(statements: readonly DumpStatement[]): Promise<void> {
    const adapted = statements.map((statement) => adaptStatement(statement, this.#target));
    const script = adapted.flatMap(({ sql }, index) =>
      sql === undefined ? [] : this.#underPath(statements[index], sql)
    ).join("\n");
    if (statements.length > 1) {
      try {
        if (script !== "") await this.#execute(statements, script);
        statements.forEach((statement, index) => this.#note(statement, adapted[index]?.note));
        return;
      } catch (error) {
        if (!isRefusal(error)) throw error;
      }
    }
    for (const [index, statement] of statements.entries()) {
      const { sql, note } = adapted[index] ?? { sql: statement.sql, note: undefined };
      if (sql !== undefined) await this.#one(statement, sql);
      this.#note(statement, note);
    }
  }

  /** Statements that compute values run under the database's own search_path if requested. */
  #underPath(statement: DumpStatement | undefined, sql: string): string {
    const { ownSearchPath: own } = this.#session.endpoint;
    // foreign keys that were split have no semicolon
    const ended = sql.endsWith(";") ? sql : `${sql};`;
    return own && statement !== undefined && computesValues(statement)
      ? `${ownSearchPath.begin}\n${ended}\n${ownSearchPath.end}`
      : ended;
  }

  /** Keeps the caller's transaction usable after a refusal. */
  async #send(sql: string): Promise<void> {
    if (!this.#inTransaction) return await this.#session.execute(sql);
    await this.#session.execute("SAVEPOINT seren_statement");
    try {
      await this.#session.execute(sql);
    } catch (error) {
      if (isRefusal(error)) {
        await this.#session.execute(
          "ROLLBACK TO SAVEPOINT seren_statement; RELEASE SAVEPOINT seren_statement",
        );
      }
      throw error;
    }
    await this.#session.execute("RELEASE SAVEPOINT seren_statement");
  }

  /** The record comes first: the statements may leave the session in another role. */
  async #execute(statements: readonly DumpStatement[], script: string): Promise<void> {
    const record = this.#record.statement(statements);
    await this.#send(record === "" ? script : `${record};\n${script}`);
    this.#record.onRecorded(statements);
    for (const statement of statements) this.#context.note(statement);
  }

  /** Retries refused changes of ownership. */
  async finish(): Promise<void> {
    for (const statement of this.#deferred.splice(0)) {
      try {
        await this.#execute([statement], statement.sql);
      } catch (error) {
        if (!isRefusal(error)) throw error;
        if (await this.#changeOwnerWithCreate(statement)) continue;
        this.#report(statement, error, {
          consequence: "remains owned by the role that the tool connects as",
        });
      }
    }
  }

  /**
   * A role that is not a superuser can assign an object only to a role with CREATE on its schema,
   * which an owner may lack. The privilege is granted for this statement, in one transaction.
   */
  async #changeOwnerWithCreate({ sql, schema }: DumpStatement): Promise<boolean> {
    const owner = / OWNER TO ("(?:[^"]|"")+"|[^\s";]+);$/.exec(sql)?.[1];
    if (owner === undefined || schema === undefined) return false;
    const inSchema = `SCHEMA ${quoteIdentifier(schema)}`;
    try {
      await this.#send(
        `GRANT CREATE ON ${inSchema} TO ${owner};\n${sql}\nREVOKE CREATE ON ${inSchema} FROM ${owner};`,
      );
      return true;
    } catch (error) {
      if (!isRefusal(error)) throw error;
      return false; // the first refusal is the one to report
    }
  }

  async #one(statement: DumpStatement, sql: string): Promise<void> {
    try {
      await this.#execute([statement], this.#underPath(statement, sql));
    } catch (error) {
      if (!isRefusal(error)) throw error;
      if (statement.inOrder !== undefined) return await this.#inPlainOrder(statement, error);
      if (await this.#withoutUnknownOptions(statement, sql, error)) return;
      if (this.#dependsOnSetAside(statement, error)) {
        return this.#setStatementAside({ statement, error, remedy: undefined });
      }
      const reaction = (this.#incomplete ? reactionToMissing(statement, error) : undefined) ??
        reactionTo(statement, error, this.#targetIsOlder);
      switch (reaction.kind) {
        case "ignore":
          return;
        case "defer":
          this.#deferred.push(statement);
          return;
        case "report":
          if (reaction.instead !== undefined) await this.#send(reaction.instead);
          this.#report(statement, error, reaction);
          return;
        case "fail":
          return this.#setStatementAside({ statement, error, remedy: reaction.remedy });
      }
    }
  }

  async #inPlainOrder(
    { inOrder: _, ...statement }: DumpStatement,
    error: ServerError,
  ): Promise<void> {
    await this.#one(statement, adaptStatement(statement, this.#target).sql ?? statement.sql);
    this.#report(statement, error, {
      consequence: "its columns are in a different order than on the source",
      remedy: "have applications name columns instead of relying on their order",
    });
  }

  /** Creates the object without the options that the target's version does not support. */
  async #withoutUnknownOptions(
    statement: DumpStatement,
    sql: string,
    error: ServerError,
  ): Promise<boolean> {
    const known = await keepKnownOptions(this.#session, sql, {
      sqlState: error.sqlState,
      inTransaction: this.#inTransaction,
      toScript: (without) => this.#underPath(statement, without),
    });
    if (known === undefined) return false;
    try {
      if (known.sql !== undefined) {
        await this.#execute([statement], this.#underPath(statement, known.sql));
      }
    } catch (other) {
      if (!isRefusal(other)) throw other;
      return false; // the first refusal is the one to report
    }
    const { dropped } = known;
    this.#report(statement, error, {
      consequence: `created without the ${dropped.length === 1 ? "option" : "options"} ${
        dropped.join(", ")
      }, which the target does not support`,
      remedy: "set the target's equivalent, if it has one",
    });
    return true;
  }

  /** Also for what would only be reported: comments, owner and privileges follow the object. */
  #dependsOnSetAside(statement: DumpStatement, error: ServerError): boolean {
    const { items = [] } = this.#setAside ?? {};
    return items.length > 0 && new CauseFinder(items).causeOf(statement, error) !== undefined;
  }

  #setStatementAside(item: Omit<SetAsideStatement, "context">): void {
    const { statement, error, remedy } = item;
    // settings apply to the session: every later statement would have a different result
    if (
      this.#setAside === undefined || statement.type === undefined || !concernsOneObject(error)
    ) throw new SchemaError(error, statement, remedy);
    this.#setAside.add({ ...item, context: this.#context.statements });
  }

  #note(statement: DumpStatement, note: string | undefined): void {
    if (note === undefined) return;
    this.adaptations.push({
      side: "target",
      object: describeStatement(statement),
      message: note,
    });
  }

  #report(
    statement: DumpStatement,
    error: ServerError,
    { consequence, remedy }: { readonly consequence: string; readonly remedy?: string },
  ): void {
    const object = describeStatement(statement);
    const reason = `${redact(error.serverMessage.message)} (SQLSTATE ${error.sqlState})`;
    const message = `${consequence}: ${reason}`;
    // the same tablespace or role may be refused many times
    if (this.adaptations.some((other) => other.message === message && other.object === object)) {
      return;
    }
    this.adaptations.push({
      side: "target",
      object,
      message,
      remedy: remedy ?? `have an administrator run: ${excerpt(statement.sql)}`,
    });
  }
}

/** The settings of a dump that determine the result of the statements after them. */
class SettingsInEffect {
  readonly #statements = new Map<string, string>();

  note({ sql }: DumpStatement): void {
    const name =
      /^(?:SET|RESET) (default_tablespace|default_table_access_method|SESSION AUTHORIZATION)\b/
        .exec(sql)?.[1];
    if (name === undefined) return;
    if (sql.startsWith("RESET ")) this.#statements.delete(name);
    else this.#statements.set(name, sql);
  }

  get statements(): readonly string[] {
    return [...this.#statements.values()];
  }
}

/** What to do about a refusal. */
type Reaction =
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
function reactionToMissing(
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

function reactionTo(
  statement: DumpStatement,
  error: ServerError,
  targetIsOlder: boolean,
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
  return { kind: "fail", remedy: remedyFor(statement, sqlState, targetIsOlder) };
}
