/**
 * Materialized views that could not be populated and were redefined on the source since.
 *
 * @module
 */
import {
  displayName,
  type EventSink,
  quoteQualified,
  type TableName,
} from "../../core/internal.ts";
import type { Ledger } from "../../checkpoint/internal.ts";
import { openSessionWithRetry, ServerError, type Session } from "../../postgres/internal.ts";
import { type DumpStatement, mentionedNames, type SetAsideObject } from "../../schema/internal.ts";
import { allStatements } from "./ledger_work.ts";
import type { SchemaParts } from "./copy_options.ts";

/** Where redefined views are looked up and dropped. */
export interface RedefinedViewsOptions {
  readonly parts: SchemaParts;
  /** Missing objects. */
  readonly objects: readonly SetAsideObject[];
  readonly ledger: Ledger;
  readonly events: EventSink;
  readonly signal: AbortSignal;
}

/**
 * Drops the redefined views that are empty on the target, so that they are created as currently
 * defined on the source. Includes views that an interrupted run has dropped.
 *
 * @returns the statements that create them: views, indexes, comments and privileges
 */
export async function dropRedefinedViews(
  { parts, objects, ledger, events, signal }: RedefinedViewsOptions,
): Promise<readonly DumpStatement[]> {
  const empty = new Set(objects.map(({ object }) => object));
  const statements = [...parts.preData, ...allStatements(parts.postData)];
  const views = statements.flatMap((statement) => {
    const { sql, type, schema, name } = statement;
    const redefined = type === "MATERIALIZED VIEW" && /^CREATE\s/.test(sql) &&
      schema !== undefined && name !== undefined && !ledger.isDone(statement) &&
      empty.has(`MATERIALIZED VIEW DATA ${schema}.${name}`);
    return redefined ? [{ schema, name }] : [];
  });
  if (views.length === 0) return [];
  await using session = await openSessionWithRetry(ledger.target, { signal, events });
  const made: DumpStatement[] = [];
  for (const view of views) {
    if (!await isEmptyOrMissing(session, view)) continue;
    const own = statementsOf(view, parts);
    try {
      await ledger.undo(
        `DROP MATERIALIZED VIEW IF EXISTS ${quoteQualified(view.schema, view.name)}`,
        own,
      );
      made.push(...own);
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      events({
        kind: "warning",
        side: "target",
        object: `materialized view ${displayName(view)}`,
        message: `it was redefined on the source, but cannot be dropped on the target: ${
          [error.message, ...error.details].join("; ")
        }`,
        remedy: "drop the objects that depend on it, and create them again after it",
      });
    }
  }
  return made;
}

async function isEmptyOrMissing(
  session: Session,
  { schema, name }: TableName,
): Promise<boolean> {
  const { found } = await session.queryOne<{ readonly found: boolean }>(
    `SELECT coalesce((SELECT c.relkind = 'm' AND NOT c.relispopulated FROM pg_catalog.pg_class AS c
                       WHERE c.oid = pg_catalog.to_regclass($1)), true) AS found`,
    [quoteQualified(schema, name)],
  );
  return found;
}

const attached: ReadonlySet<string> = new Set(["INDEX", "COMMENT", "STATISTICS", "SECURITY LABEL"]);

function statementsOf(
  { schema, name }: TableName,
  { preData, postData }: SchemaParts,
): readonly DumpStatement[] {
  const group = postData.perTable.find(({ table }) =>
    table.schema === schema && table.name === name
  );
  return [
    ...[...preData, ...postData.rest].filter((statement) => {
      const { type = "", sql } = statement;
      return type.startsWith("MATERIALIZED VIEW")
        ? statement.schema === schema && statement.name === name
        : (attached.has(type) || type === "ACL") && mentionedNames(sql).has(schema, name);
    }),
    ...(group?.statements ?? []),
  ];
}
