/**
 * The advisory lock that every session of a run takes in shared mode when it is opened.
 *
 * Any role that may connect can hold it exclusively and block the run forever, so after a timeout
 * its session is reported.
 *
 * @module
 */
import { ExitCode, formatDuration, ReplicatorError } from "../../core/internal.ts";
import type { AdvisoryLock } from "../connect/endpoint.ts";
import type { Session } from "./session.ts";
import { sharedLockTimeoutMs } from "./settings.ts";

const holderStatement = `
  SELECT l.pid, a.usename::pg_catalog.text AS role, a.application_name AS application,
         coalesce(pg_catalog.host(a.client_addr), 'a local socket') AS client
    FROM pg_catalog.pg_locks AS l
    LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
   WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted AND l.mode = 'ExclusiveLock'
     AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
     AND l.classid = $1::pg_catalog.int8::pg_catalog.oid AND l.objid = $2::pg_catalog.int8::pg_catalog.oid`;

/** The error of a session that could not be opened because the lock was held. */
export async function sharedLockHeld(
  session: Session,
  lock: AdvisoryLock,
): Promise<ReplicatorError> {
  const [holder] = await session.query<{
    readonly pid: number;
    readonly role: string | null;
    readonly application: string | null;
    readonly client: string | null;
  }>(holderStatement, [...lock]);
  const who = holder === undefined
    ? "another session"
    : `session ${holder.pid} of role ${holder.role ?? "unknown"} from ${
      holder.client ?? "elsewhere"
    }${holder.application ? ` (${holder.application})` : ""}`;
  const { side, database } = session.endpoint;
  return new ReplicatorError(
    `${who} has held the advisory lock of this tool's sessions in the database for more than ${
      formatDuration(sharedLockTimeoutMs(session.endpoint))
    }`,
    {
      side,
      object: `database ${database}`,
      remedy: "if it is another run of this tool, let it finish; if not, find out why it holds " +
        `pg_advisory_lock(${lock.join(", ")}), and terminate it: ` +
        `SELECT pg_catalog.pg_terminate_backend(${holder?.pid ?? "PID"})`,
      exitCode: ExitCode.prerequisite,
    },
  );
}
