/**
 * Sends the statements of one dump in one session, and adapts, defers or sets aside what the target
 * refuses.
 *
 * @module
 */
import { quoteIdentifier, redact } from "../../core/internal.ts";
import { ownSearchPath, type ServerError, type Session } from "../../postgres/internal.ts";
import type { DumpStatement } from "../parse/dump_reader.ts";
import { adaptStatement, type SchemaTarget } from "./adapt_statement.ts";
import { type Adaptation, excerpt, isRefusal } from "./adaptation.ts";
import type { ApplyOptions, SetAsideSink, StatementRecord } from "./apply_options.ts";
import { reactionTo, reactionToMissing } from "./reaction.ts";
import { describeStatement, SchemaError } from "./schema_error.ts";
import {
  CauseFinder,
  computesValues,
  concernsOneObject,
  type SetAsideStatement,
} from "./set_aside.ts";
import { keepKnownOptions } from "./unknown_options.ts";

/** One run over a dump: batches in their order, then {@linkcode SchemaRun.finish}. */
export class SchemaRun {
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
        reactionTo(statement, { error, targetIsOlder: this.#targetIsOlder });
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
