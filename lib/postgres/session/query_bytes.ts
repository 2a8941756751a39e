/**
 * Queries whose results may contain bytes without a UTF-8 form: those of SQL_ASCII databases, and
 * characters that Unicode lacks.
 *
 * @module
 */
import { decodeOpaque, opaqueCharacter } from "../../core/internal.ts";
import { ServerError } from "../connect/server_error.ts";
import type { Session } from "./session.ts";
import { SqlState } from "../protocol/sqlstate.ts";

/** A row of {@linkcode bytesStatement}. */
export type BytesRow = { readonly row: string; readonly encoding: string };

/**
 * Wraps a query so that its rows are JSON in the database's encoding, in hexadecimal: nothing is
 * converted in between.
 *
 * @param statement a SELECT
 */
export function bytesStatement(statement: string): string {
  return `
  SELECT pg_catalog.encode(pg_catalog.convert_to(
           pg_catalog.textin(pg_catalog.json_out(pg_catalog.row_to_json(seren_row))),
           pg_catalog.getdatabaseencoding()), 'hex') AS row,
         pg_catalog.getdatabaseencoding() AS encoding
    FROM (${statement}) AS seren_row`;
}

/**
 * Parses a row of the inner query. Bytes that are not valid UTF-8 are represented as in
 * `decodeOpaque`; in an encoding other than UTF8 and SQL_ASCII all bytes beyond ASCII are, since
 * what looks like UTF-8 has another meaning there.
 */
export function parseBytesRow<Result extends object>({ row, encoding }: BytesRow): Result {
  const bytes = Uint8Array.fromHex(row);
  const text = encoding === "SQL_ASCII" || encoding === "UTF8"
    ? decodeOpaque(bytes)
    : Array.from(bytes, (byte) => byte < 0x80 ? String.fromCharCode(byte) : opaqueCharacter(byte))
      .join("");
  return JSON.parse(text) as Result;
}

/**
 * Like `Session.query`, for texts of arbitrary bytes. Values are as in JSON: arrays as arrays, and
 * OIDs, which are numbers in other queries, as text.
 *
 * @param options `resultBytes`: as for `Session.query`, counted in hexadecimal
 * @throws ServerError when the server rejects it
 */
export async function queryBytes<Result extends object>(
  session: Session,
  statement: string,
  { resultBytes }: { readonly resultBytes?: number } = {},
): Promise<Result[]> {
  const rows = await session.query<BytesRow>(
    bytesStatement(statement),
    [],
    resultBytes === undefined ? {} : { resultBytes },
  );
  return rows.map((row) => parseBytesRow<Result>(row));
}

/**
 * Like `Session.query`, falling back to {@linkcode queryBytes} where a text has such bytes. Not for
 * use in a transaction, which the first error would abort.
 *
 * @throws ServerError when the server rejects it
 */
export async function queryAnyText<Result extends object>(
  session: Session,
  statement: string,
): Promise<Result[]> {
  try {
    return await session.query<Result>(statement);
  } catch (error) {
    if (!isUnconvertible(error)) throw error;
    return await queryBytes<Result>(session, statement);
  }
}

/** Whether a text could not be sent because it has no UTF-8 form. */
export function isUnconvertible(error: unknown): boolean {
  return error instanceof ServerError &&
    (error.sqlState === SqlState.characterNotInRepertoire ||
      error.sqlState === SqlState.untranslatableCharacter);
}
