/**
 * Ends what a broken connection has left on its server.
 *
 * @module
 */
import type { Session } from "./session.ts";

// The process ID alone is not enough: after a restart it may belong to another session.
const statement = `
  SELECT pg_catalog.pg_terminate_backend(old.pid)
    FROM pg_catalog.pg_stat_activity AS old
    JOIN pg_catalog.pg_stat_activity AS own ON own.pid = pg_catalog.pg_backend_pid()
   WHERE old.pid = $1 AND old.pid <> own.pid AND old.application_name = own.application_name
     AND old.datid = own.datid AND old.usesysid = own.usesysid
     AND old.backend_start < own.backend_start`;

/**
 * Asks the server to terminate the backend of an earlier connection to the session's database. A
 * backend that does not notice that its client is gone keeps its locks, and may still commit, until
 * keepalives end it.
 *
 * @param processId the backend's process ID
 * @returns whether it was still there
 */
export async function terminatePreviousBackend(
  session: Session,
  processId: number,
): Promise<boolean> {
  return (await session.query(statement, [processId])).length > 0;
}
