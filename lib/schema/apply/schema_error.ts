/**
 * A refused statement of a schema, and how messages name its object.
 *
 * @module
 */
import { ExitCode, redact, ReplicatorError, type TableName } from "../../core/internal.ts";
import type { ServerError } from "../../postgres/internal.ts";
import type { DumpStatement } from "../parse/dump_reader.ts";
import { SqlCursor } from "../parse/sql_cursor.ts";
import { excerpt } from "./adaptation.ts";

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
