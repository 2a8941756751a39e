/**
 * The ledger's tables, and the SQL that records work in the transaction that does it.
 *
 * @module
 */
import { ledgerSchema, quoteLiteral, type TableName } from "../core/internal.ts";

/** The only format of the ledger that this version writes and resumes. */
export const ledgerFormat = 2;

/** The constraint violated by recording a part twice. */
export const partConstraint = "seren_ledger_part_done";

/** The column whose NOT NULL a session violates after another run has taken over. */
const holderColumn = "holder";

/** Documents are ASCII JSON, because the database may have any encoding. */
export const createLedgerStatements = `
  CREATE SCHEMA ${ledgerSchema};
  COMMENT ON SCHEMA ${ledgerSchema} IS 'postgres-seren-replicator: what an unfinished copy has done; removed when it is finished';
  CREATE TABLE ${ledgerSchema}.run (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    format integer NOT NULL,
    ${holderColumn} text NOT NULL,
    document text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    complete boolean NOT NULL DEFAULT false
  );
  CREATE TABLE ${ledgerSchema}.epoch (
    epoch integer PRIMARY KEY,
    document text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
  );
  CREATE TABLE ${ledgerSchema}.planned_part (
    schema_name text, table_name text, part integer,
    parts integer NOT NULL,
    epoch integer NOT NULL REFERENCES ${ledgerSchema}.epoch,
    from_block bigint, to_block bigint,
    key_column text, key_type text, from_key text, to_key text,
    PRIMARY KEY (schema_name, table_name, part)
  );
  CREATE TABLE ${ledgerSchema}.part_done (
    schema_name text, table_name text, part integer,
    parts integer NOT NULL,
    epoch integer NOT NULL,
    ${holderColumn} text NOT NULL,
    rows bigint, bytes bigint,
    done_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    CONSTRAINT ${partConstraint} PRIMARY KEY (schema_name, table_name, part)
  );
  CREATE TABLE ${ledgerSchema}.structure (
    digest text PRIMARY KEY,
    object text NOT NULL
  );
  CREATE TABLE ${ledgerSchema}.statement_done (
    digest text PRIMARY KEY,
    ${holderColumn} text NOT NULL
  );
  CREATE TABLE ${ledgerSchema}.set_aside (
    place integer PRIMARY KEY,
    document text NOT NULL
  );`;

/**
 * NULL, which the column refuses, once another run has taken over: a stale session of this run can
 * then commit nothing.
 */
function holderOrNull(holder: string): string {
  return `(SELECT ${holderColumn} FROM ${ledgerSchema}.run WHERE ${holderColumn} OPERATOR(pg_catalog.=) ${
    quoteLiteral(holder)
  })`;
}

/** A part of a table. */
export interface RecordedPart {
  readonly table: TableName;
  readonly part: number;
  readonly parts: number;
}

/** Records that a part is copied. */
export function recordPartStatement(
  { table: { schema, name }, part, parts }: RecordedPart,
  { generation, holder }: { readonly generation: number; readonly holder: string },
): string {
  return `INSERT INTO ${ledgerSchema}.part_done (schema_name, table_name, part, parts, epoch, ${holderColumn}) VALUES (${
    quoteLiteral(schema)
  }, ${quoteLiteral(name)}, ${part}, ${parts}, ${generation}, ${holderOrNull(holder)})`;
}

/** Returns a row if the part is recorded. */
export function isPartRecordedQuery(
  { table: { schema, name }, part }: Omit<RecordedPart, "parts">,
): string {
  return `SELECT part FROM ${ledgerSchema}.part_done WHERE schema_name = ${
    quoteLiteral(schema)
  } AND table_name = ${quoteLiteral(name)} AND part = ${part}`;
}

/** Records statements as done. A statement cannot run twice, because its object would exist. */
export function recordStatementsStatement(digests: readonly string[], holder: string): string {
  if (digests.length === 0) return "";
  const values = digests.map((digest) => `(${quoteLiteral(digest)}, ${holderOrNull(holder)})`);
  return `INSERT INTO ${ledgerSchema}.statement_done (digest, ${holderColumn}) VALUES ${
    values.join(", ")
  } ON CONFLICT DO NOTHING`;
}

/** JSON in ASCII. */
export function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
