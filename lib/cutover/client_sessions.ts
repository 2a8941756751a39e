/**
 * Client sessions of a closed database: they can no longer write, and do not know it yet.
 *
 * @module
 */
import { retry } from "../core/internal.ts";
import { type Endpoint, openSession, ServerError } from "../postgres/internal.ts";

/** Ends the client sessions of a closed database. */
export async function endClientSessions(
  endpoint: Endpoint,
): Promise<{ readonly ended: number; readonly refused: number }> {
  await using session = await retry(() => openSession(endpoint));
  const pids = await session.query<{ readonly pid: number }>(
    `SELECT pid FROM pg_catalog.pg_stat_activity
      WHERE datname = pg_catalog.current_database() AND backend_type = 'client backend'
        AND pid <> pg_catalog.pg_backend_pid()`,
  );
  let ended = 0;
  let refused = 0;
  for (const { pid } of pids) {
    try {
      await session.query("SELECT pg_catalog.pg_terminate_backend($1)", [pid]);
      ended++;
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      refused++;
    }
  }
  return { ended, refused };
}
