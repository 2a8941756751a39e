/**
 * The record of a stream whose changes the tool itself applies. Only reads.
 *
 * @module
 */
import { cutoverSchema, type Lsn, parseLsn, parseOptionalLsn } from "../../core/internal.ts";
import type { TableName } from "../../core/internal.ts";
import { ServerError, type Session, SqlState, textArray } from "../../postgres/internal.ts";
import { parseComment, type ScopeComment } from "../publication/publication_comment.ts";
import { applyStreamTable, applyTableTable } from "./apply_schema.ts";

/** Why changes could not be applied, as the record keeps it. */
export interface ApplyError {
  /** What failed: the server's message, or a row that is missing or exists already. */
  readonly message: string;
  /** SQLSTATE of the target's error; missing if a row was not found. */
  readonly sqlState?: string;
  /** The table of the change; missing if it concerns none. */
  readonly table?: TableName;
  /** `insert`, `update`, `delete` or `truncate`. */
  readonly operation?: string;
  /** The row's key, as text. */
  readonly key?: Readonly<Record<string, string | null>>;
  /** What else is known, one line each: the row on both sides. */
  readonly details?: readonly string[];
  /** End of the transaction, as `--skip-lsn` takes it: `0/16B3748`. */
  readonly finishLsn?: string;
  /** When it happened, ISO 8601. */
  readonly at?: string;
}

/** The record of one stream. */
export interface ApplyRecord {
  /** The stream's name. */
  readonly name: string;
  /** Whether its changes may be applied; false stops the process that applies them. */
  readonly enabled: boolean;
  /** Undefined if the comment cannot be parsed. */
  readonly scopeComment: ScopeComment | undefined;
  /** Undefined if it is detached from its slot. */
  readonly slotName: string | undefined;
  /** End of the last transaction that was applied. */
  readonly endLsn: Lsn;
  /** Milliseconds since that transaction was applied; undefined before the first. */
  readonly appliedMs: number | undefined;
  /** Applied transactions of the source. */
  readonly transactions: number;
  /** Applied changes. */
  readonly changes: number;
  /** The transaction that is skipped if it comes next. */
  readonly skipLsn: Lsn | undefined;
  /** How often changes could not be applied. */
  readonly errors: number;
  /** Why they cannot be applied now; undefined unless that has stopped the stream. */
  readonly error: ApplyError | undefined;
  /** Conflicts by kind: `insert_exists`, `update_missing`… */
  readonly conflicts: Readonly<Record<string, number>>;
  /** Process ID of the target's backend that wrote the record last; it may have ended. */
  readonly pid: number | undefined;
  /** Milliseconds since it wrote the record; undefined before the first time. */
  readonly seenMs: number | undefined;
}

const since = (column: string) =>
  `(extract(epoch FROM pg_catalog.clock_timestamp() - s.${column}) * 1000)::pg_catalog.float8`;

const recordStatement = `
  SELECT s.name, s.enabled, s.comment, s.slot_name, s.end_lsn::pg_catalog.text AS end_lsn,
         ${since("applied_at")} AS applied_ms, s.transactions::pg_catalog.float8 AS transactions,
         s.changes::pg_catalog.float8 AS changes, s.skip_lsn::pg_catalog.text AS skip_lsn,
         s.errors::pg_catalog.float8 AS errors, s.error, s.conflicts, s.pid,
         ${since("seen_at")} AS seen_ms
    FROM ${applyStreamTable} AS s
   WHERE $1::pg_catalog.text[] IS NULL OR s.name = ANY ($1::pg_catalog.text[])
   ORDER BY s.name COLLATE pg_catalog."C"`;

type RecordRow = {
  readonly name: string;
  readonly enabled: boolean;
  readonly comment: string;
  readonly slot_name: string | null;
  readonly end_lsn: string;
  readonly applied_ms: number | null;
  readonly transactions: number;
  readonly changes: number;
  readonly skip_lsn: string | null;
  readonly errors: number;
  readonly error: ApplyError | null;
  readonly conflicts: Readonly<Record<string, number>>;
  readonly pid: number | null;
  readonly seen_ms: number | null;
};

/**
 * Reads the records of the session's database: those named, or all; none if the schema has just
 * been dropped.
 */
export async function readApplyRecords(
  session: Session,
  names?: readonly string[],
): Promise<readonly ApplyRecord[]> {
  return (await readRows(session, names)).map((row) => ({
    name: row.name,
    enabled: row.enabled,
    scopeComment: parseComment(row.comment),
    slotName: row.slot_name ?? undefined,
    endLsn: parseLsn(row.end_lsn),
    appliedMs: row.applied_ms ?? undefined,
    transactions: row.transactions,
    changes: row.changes,
    skipLsn: parseOptionalLsn(row.skip_lsn),
    errors: row.errors,
    error: row.error ?? undefined,
    conflicts: row.conflicts,
    pid: row.pid ?? undefined,
    seenMs: row.seen_ms ?? undefined,
  }));
}

async function readRows(
  session: Session,
  names: readonly string[] | undefined,
): Promise<readonly RecordRow[]> {
  try {
    return await session.query<RecordRow>(recordStatement, [
      names === undefined ? null : textArray(names),
    ]);
  } catch (error) {
    // dropped since the caller found the schema: with the last stream, by cleanup for example
    if (error instanceof ServerError && error.sqlState === SqlState.undefinedTable) return [];
    throw error;
  }
}

/** A table of a stream. */
export interface StreamTable extends TableName {
  readonly stream: string;
}

const tableStatement = `
  SELECT t.stream, t.schema_name AS schema, t.table_name AS name
    FROM ${applyTableTable} AS t
   WHERE t.schema_name <> '${cutoverSchema}'
   ORDER BY 1, t.schema_name COLLATE pg_catalog."C", t.table_name COLLATE pg_catalog."C"`;

/** Reads the tables of all streams of the session's database, without those of a cutover. */
export async function readStreamTables(session: Session): Promise<readonly StreamTable[]> {
  return await session.query<StreamTable & Record<string, unknown>>(tableStatement);
}

// includes the partitions of partitioned tables
const followedStatement = `
  WITH RECURSIVE listed (oid) AS (
    SELECT c.oid
      FROM ${applyTableTable} AS t
      JOIN pg_catalog.pg_namespace AS n ON n.nspname = t.schema_name
      JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = t.table_name
     WHERE t.stream = ANY ($1::pg_catalog.text[])
    UNION
    SELECT i.inhrelid FROM listed
      JOIN pg_catalog.pg_inherits AS i ON i.inhparent = listed.oid
      JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid AND c.relispartition
  )
  SELECT n.nspname AS schema, c.relname AS name
    FROM listed
    JOIN pg_catalog.pg_class AS c ON c.oid = listed.oid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace`;

/**
 * Reads the tables whose changes the streams apply, including partitions of partitioned tables. The
 * session's database has the schema.
 */
export async function readStreamPartitions(
  session: Session,
  streams: readonly string[],
): Promise<readonly TableName[]> {
  return await session.query<TableName>(followedStatement, [textArray(streams)]);
}
