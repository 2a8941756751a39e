/**
 * The ledger's tables, and the texts that go along with the work that they account for.
 *
 * @module
 */
import { ledgerSchema, quoteLiteral, type TableName } from "../core/internal.ts";

/** Format of the ledger that this version writes, and the only one it goes on with. */
export const ledgerFormat = 2;

/** The constraint that a part violates which is recorded already. */
export const partConstraint = "seren_ledger_part_done";

/** The constraint that a session of a run violates which another run has taken over from. */
export const holderColumn = "holder";

/** Documents are JSON in ASCII: the database may have any encoding. */
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
 * NULL, which the column refuses, when another run has taken over: a session of ours that was cut
 * off and comes back can then commit nothing.
 */
function holderOrNull(holder: string): string {
  return `(SELECT ${holderColumn} FROM ${ledgerSchema}.run WHERE ${holderColumn} OPERATOR(pg_catalog.=) ${
    quoteLiteral(holder)
  })`;
}

/** A part of a table, for the texts below. */
export interface RecordedPart {
  readonly table: TableName;
  readonly part: number;
  readonly parts: number;
}

/** Records that a part is in. */
export function recordPartStatement(
  { table: { schema, name }, part, parts }: RecordedPart,
  { epoch, holder }: { readonly epoch: number; readonly holder: string },
): string {
  return `INSERT INTO ${ledgerSchema}.part_done (schema_name, table_name, part, parts, epoch, ${holderColumn}) VALUES (${
    quoteLiteral(schema)
  }, ${quoteLiteral(name)}, ${part}, ${parts}, ${epoch}, ${holderOrNull(holder)})`;
}

/** Gives a row when the part is recorded. */
export function isPartRecordedQuery(
  { table: { schema, name }, part }: Omit<RecordedPart, "parts">,
): string {
  return `SELECT part FROM ${ledgerSchema}.part_done WHERE schema_name = ${
    quoteLiteral(schema)
  } AND table_name = ${quoteLiteral(name)} AND part = ${part}`;
}

/** Records that statements are done. Doing one twice is prevented by what it makes. */
export function recordStatementsStatement(digests: readonly string[], holder: string): string {
  if (digests.length === 0) return "";
  const values = digests.map((digest) => `(${quoteLiteral(digest)}, ${holderOrNull(holder)})`);
  return `INSERT INTO ${ledgerSchema}.statement_done (digest, ${holderColumn}) VALUES ${
    values.join(", ")
  } ON CONFLICT DO NOTHING`;
}

/** JSON in which every character is ASCII. */
export function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
