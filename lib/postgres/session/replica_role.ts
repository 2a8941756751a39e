/**
 * `session_replication_role = replica`: ordinary triggers, event triggers and foreign keys do not
 * fire in the session.
 *
 * @module
 */
import { ServerError } from "../connect/server_error.ts";
import type { Session } from "./session.ts";
import { SqlState } from "../protocol/sqlstate.ts";

/**
 * Sets it if the role may. `LOCAL` requires an open transaction, which stays usable either way.
 *
 * @returns whether the role may
 */
export async function actAsReplica(session: Session, scope: "LOCAL" | "SESSION"): Promise<boolean> {
  if (scope === "LOCAL") await session.execute("SAVEPOINT seren_replica");
  try {
    await session.execute(`SET ${scope} session_replication_role = replica`);
    return true;
  } catch (error) {
    if (!(error instanceof ServerError) || error.sqlState !== SqlState.insufficientPrivilege) {
      throw error;
    }
    if (scope === "LOCAL") await session.execute("ROLLBACK TO SAVEPOINT seren_replica");
    return false;
  }
}
