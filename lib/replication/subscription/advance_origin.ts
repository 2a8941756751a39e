/**
 * The progress of a stopped subscription.
 *
 * @module
 */
import { formatLsn, type Lsn } from "../../core/internal.ts";
import { ServerError, type Session, SqlState } from "../../postgres/internal.ts";

/**
 * Lets a stopped subscription start no earlier than a position of its slot. The position of a slot
 * that was advanced is durable only after a checkpoint: if the server crashed before, the
 * subscription would apply again, as changes from the other side, what its own side had written.
 * The subscription's progress is in the WAL, and durable once the subscription has been started.
 *
 * Left out if the role may not (only superusers may by default; up to 15, a subscription needs one
 * in any case).
 *
 * @param session on the side where the stream arrives
 */
export async function advanceOrigin(
  session: Session,
  { subscription, lsn }: { readonly subscription: string; readonly lsn: Lsn },
): Promise<void> {
  try {
    await session.query(
      `SELECT pg_catalog.pg_replication_origin_advance(o.roname, $2::pg_catalog.pg_lsn)
         FROM pg_catalog.pg_subscription AS s
         JOIN pg_catalog.pg_database AS d ON d.oid = s.subdbid
         JOIN pg_catalog.pg_replication_origin AS o
           ON o.roname = pg_catalog.format('pg_%s', s.oid)
        WHERE s.subname = $1 AND d.datname = pg_catalog.current_database()`,
      [subscription, formatLsn(lsn)],
    );
  } catch (error) {
    if (!(error instanceof ServerError) || error.sqlState !== SqlState.insufficientPrivilege) {
      throw error;
    }
  }
}
