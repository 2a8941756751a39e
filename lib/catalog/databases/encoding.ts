/**
 * Reads the encoding of a database.
 *
 * @module
 */
import type { Session } from "../../postgres/internal.ts";

/** The encoding of the session's database: `UTF8`, `LATIN1`, `SQL_ASCII`. */
export async function readEncoding(session: Session): Promise<string> {
  const { encoding } = await session.queryOne<{ encoding: string }>(
    "SELECT pg_catalog.getdatabaseencoding() AS encoding",
  );
  return encoding;
}
