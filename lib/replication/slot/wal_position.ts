/**
 * Where the WAL of a server ends.
 *
 * @module
 */
import { type Lsn, parseLsn } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";

/** Where a server's WAL ends. */
export interface WalPosition {
  /**
   * The end of everything committed so far: `pg_current_wal_insert_lsn()`, because the write
   * position misses recent transactions committed with `synchronous_commit = off`. On a standby,
   * the replayed position.
   */
  readonly inserted: Lsn;
  /** The flushed position, up to which changes are sent. On a standby, the received position. */
  readonly flushed: Lsn;
  readonly inRecovery: boolean;
}

const walStatement = `
  SELECT pg_catalog.pg_is_in_recovery() AS in_recovery,
         (CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
               ELSE pg_catalog.pg_current_wal_insert_lsn() END)::pg_catalog.text AS inserted,
         (CASE WHEN pg_catalog.pg_is_in_recovery() THEN coalesce(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())
               ELSE pg_catalog.pg_current_wal_flush_lsn() END)::pg_catalog.text AS flushed`;

/** Reads where the WAL of the session's server ends. */
export async function readWalPosition(session: Session): Promise<WalPosition> {
  const row = await session.queryOne<{ in_recovery: boolean; inserted: string; flushed: string }>(
    walStatement,
  );
  return {
    inRecovery: row.in_recovery,
    inserted: parseLsn(row.inserted),
    flushed: parseLsn(row.flushed),
  };
}
