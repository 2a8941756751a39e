/**
 * What the applier itself writes into the record of its stream: the position in each transaction
 * that applies changes, and the reason why it has stopped.
 *
 * @module
 */
import { formatLsn, type Lsn, quoteLiteral, type TableName } from "../core/internal.ts";
import type { Session } from "../postgres/internal.ts";
import { type ApplyError, applyStreamTable, applyTableTable } from "../replication/internal.ts";

/** What a transaction of the applier adds to the record. */
export interface Advance {
  /** The recorded position: another one means that another process has applied changes. */
  readonly from: Lsn;
  readonly to: Lsn;
  /** Transactions of the source. */
  readonly transactions: number;
  readonly changes: number;
}

/** The statement that advances the record; it affects no row if the stream was stopped. */
export function advanceStatement(name: string, advance: Advance): string {
  const { from, to, transactions, changes } = advance;
  const applied = transactions === 0 ? "" : `, applied_at = pg_catalog.clock_timestamp(),
        transactions = transactions OPERATOR(pg_catalog.+) ${transactions},
        changes = changes OPERATOR(pg_catalog.+) ${changes}`;
  return `UPDATE ${applyStreamTable}
    SET end_lsn = ${lsnLiteral(to)}, error = NULL, seen_at = pg_catalog.clock_timestamp(),
        pid = pg_catalog.pg_backend_pid(),
        skip_lsn = CASE WHEN skip_lsn OPERATOR(pg_catalog.>=) ${
    lsnLiteral(to)
  } THEN skip_lsn END${applied}
    WHERE name OPERATOR(pg_catalog.=) ${quoteLiteral(name)} AND enabled
      AND end_lsn OPERATOR(pg_catalog.=) ${lsnLiteral(from)}`;
}

function lsnLiteral(lsn: Lsn): string {
  return `'${formatLsn(lsn)}'::pg_catalog.pg_lsn`;
}

const errorStatement = `
  UPDATE ${applyStreamTable}
     SET enabled = false, errors = errors + 1, error = $2::pg_catalog.jsonb,
         conflicts = CASE WHEN $3 = '' THEN conflicts ELSE
           conflicts || pg_catalog.jsonb_build_object($3, coalesce((conflicts ->> $3)::pg_catalog.int8, 0) + 1) END
   WHERE name = $1 AND enabled AND end_lsn = $4::pg_catalog.pg_lsn
  RETURNING name`;

/**
 * Records why a change cannot be applied, and stops the stream, which would fail at it again.
 *
 * @param conflict its kind: `insert_exists`, `update_missing`, `delete_missing`
 * @param from the recorded position: another one means that another process has applied the change
 * @returns whether the stream was still there
 */
export async function recordApplyError(
  session: Session,
  name: string,
  { error, conflict, from }: {
    readonly error: ApplyError;
    readonly conflict: string | undefined;
    readonly from: Lsn;
  },
): Promise<boolean> {
  const parameters = [name, JSON.stringify(error), conflict ?? "", formatLsn(from)];
  return (await session.query(errorStatement, parameters)).length > 0;
}

/** A table whose changes a stream applies. */
export interface ListedTable extends TableName {
  /** Which rows; null if the source filters them, or sends all. */
  readonly row_filter: string | null;
}

const tableStatement = `
  SELECT t.schema_name AS schema, t.table_name AS name, t.row_filter FROM ${applyTableTable} AS t WHERE t.stream = $1`;

/** Reads all tables whose changes a stream applies, those of a cutover included. */
export async function readAppliedNames(
  session: Session,
  name: string,
): Promise<readonly ListedTable[]> {
  return await session.query<ListedTable & Record<string, unknown>>(tableStatement, [name]);
}
