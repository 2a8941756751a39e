/**
 * Reads the source point of a session's transaction.
 *
 * @module
 */
import type { Session } from "../postgres/internal.ts";
import type { SourcePoint } from "./model.ts";

// txid_…: the newer names require 13. In a transaction with a snapshot the result belongs to it.
const pointStatement = `
  SELECT (extract(epoch FROM pg_catalog.pg_postmaster_start_time()) * 1000000)::bigint::pg_catalog.text AS server_start,
         (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) AS database_oid,
         pg_catalog.txid_current_snapshot()::pg_catalog.text AS transactions`;

/** Reads the source point that the session's transaction sees. */
export async function readSourcePoint(session: Session): Promise<SourcePoint> {
  const row = await session.queryOne<
    { server_start: string; database_oid: number; transactions: string }
  >(pointStatement);
  return {
    serverStart: row.server_start,
    databaseOid: row.database_oid,
    transactions: row.transactions,
  };
}
