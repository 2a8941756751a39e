/**
 * Reports the locks that a command waits for.
 *
 * @module
 */
import { type EventSink, formatDuration } from "../core/mod.ts";
import { describeLockWait, type Endpoint, type LockWaitSink } from "../postgres/mod.ts";

/** The same servers; their sessions report as events which lock they wait for, and who holds it. */
export function reportLockWaits<Options extends { source: Endpoint; target: Endpoint }>(
  options: Options,
  events: EventSink,
): Options {
  const onLockWait = lockWaitEvents(events);
  return {
    ...options,
    source: { ...options.source, onLockWait },
    target: { ...options.target, onLockWait },
  };
}

function lockWaitEvents(events: EventSink): LockWaitSink {
  return (wait) => {
    const where = `${wait.side}, database ${wait.database}`;
    if (wait.kind === "over") {
      const after = formatDuration(wait.waitedMs);
      events({
        kind: "info",
        message: `${where}: ${wait.object} is no longer waited for (${after})`,
      });
      return;
    }
    const pids = wait.blockers.map(({ processId }) => processId).filter((pid) => pid !== 0);
    const remedy = pids.length === 0
      ? "commit or roll back the prepared transaction"
      : `let it finish, or end it on the ${wait.side}: ` +
        pids.map((pid) => `SELECT pg_catalog.pg_terminate_backend(${pid});`).join(" ");
    events({ kind: "info", message: `${where}: ${describeLockWait(wait)} (${remedy})` });
  };
}
