/**
 * Client sessions of a closed database: they can no longer write, and do not know it yet.
 *
 * @module
 */
import { retry } from "../core/internal.ts";
import { type Endpoint, openSession, ServerError } from "../postgres/internal.ts";

// of other roles' sessions, a role without pg_read_all_stats does not see the type: what is neither
// an apply worker nor a walsender, and has a role, is taken for a client
const clientStatement = `
  SELECT a.pid
    FROM pg_catalog.pg_stat_activity AS a
   WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()
     AND CASE WHEN a.backend_type IS NOT NULL THEN a.backend_type = 'client backend'
              ELSE a.usesysid IS NOT NULL
               AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_get_subscription(NULL) AS s
                                WHERE s.pid = a.pid)
               AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_get_wal_senders() AS w
                                WHERE w.pid = a.pid)
         END`;

/**
 * Ends the client sessions of a closed database.
 *
 * @param spared backends of the caller's own sessions, which still hold the lock of the cutover
 */
export async function endClientSessions(
  endpoint: Endpoint,
  spared: readonly number[] = [],
): Promise<{ readonly ended: number; readonly refused: number }> {
  await using session = await retry(() => openSession(endpoint));
  const pids = await session.query<{ readonly pid: number }>(clientStatement);
  let ended = 0;
  let refused = 0;
  for (const { pid } of pids.filter((each) => !spared.includes(each.pid))) {
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
