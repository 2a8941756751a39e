/**
 * Queries whose texts may hold bytes that a session in UTF-8 cannot be sent: those of SQL_ASCII,
 * and what Unicode lacks.
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
 * A query's rows as JSON in the database's own encoding, in hexadecimal: nothing is converted on
 * the way.
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
 * The row of the inner query. Bytes that are no valid UTF-8 stand in its texts as `decodeOpaque`
 * has them; in an encoding other than UTF8 and SQL_ASCII all but ASCII, since what looks like UTF-8
 * there means something else.
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
 * As `Session.query` does it, for texts of any bytes. Values come as JSON has them: arrays as
 * arrays, and OIDs, which are numbers in other queries, as text.
 *
 * @param options `resultBytes`: as for `Session.query`, of what comes in hexadecimal
 * @throws ServerError when the server refuses it
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
 * As `Session.query` does it, and once more by {@linkcode queryBytes} where a text has such bytes.
 * Not within a transaction, which the first error would end.
 *
 * @throws ServerError when the server refuses it
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

/** Whether a server could not send a text because it has no form in UTF-8. */
export function isUnconvertible(error: unknown): boolean {
  return error instanceof ServerError &&
    (error.sqlState === SqlState.characterNotInRepertoire ||
      error.sqlState === SqlState.untranslatableCharacter);
}
