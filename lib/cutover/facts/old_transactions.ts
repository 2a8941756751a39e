/**
 * Transactions that may hold up the barrier. Only reads.
 *
 * @module
 */
import type { Session } from "../../postgres/internal.ts";
import type { OldTransaction } from "./side_facts.ts";

const transactionStatement = `
  SELECT a.pid, a.usename::pg_catalog.text AS username, a.state,
         (extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start) * 1000)::pg_catalog.float8 AS age_ms
    FROM pg_catalog.pg_stat_activity AS a
   WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()
     AND a.backend_type = 'client backend'
     AND a.xact_start < pg_catalog.clock_timestamp() - $1::pg_catalog.interval
   ORDER BY a.xact_start
   LIMIT 20`;

type TransactionRow = {
  readonly pid: number;
  readonly username: string | null;
  readonly state: string | null;
  readonly age_ms: number;
};

/** Transactions of other clients of the database that are older than `minAgeMs`, oldest first. */
export async function readOldTransactions(
  session: Session,
  minAgeMs: number,
): Promise<readonly OldTransaction[]> {
  const rows = await session.query<TransactionRow>(transactionStatement, [
    `${Math.round(minAgeMs)} milliseconds`,
  ]);
  return rows.map((each): OldTransaction => ({
    pid: each.pid,
    user: each.username ?? undefined,
    state: each.state ?? undefined,
    ageMs: each.age_ms,
  }));
}
