/**
 * Settings that all sessions of a command share.
 *
 * @module
 */
import { type EventSink, formatDuration } from "../../core/internal.ts";
import {
  describeLockWait,
  type Endpoint,
  type LockWait,
  type LockWaitSink,
} from "../../postgres/internal.ts";
import { type TableRules, wordsOf } from "../../rules/internal.ts";

/**
 * The same servers, whose sessions report locks that they wait for, with their holders, as events.
 * They may read user-defined views only if a predicate of the caller may.
 */
export function prepareEndpoints<
  Options extends { source: Endpoint; target: Endpoint; rules?: TableRules },
>(options: Options, events: EventSink): Options {
  const common = {
    onLockWait: lockWaitEvents(events),
    readsViews:
      options.rules?.rows.some((rule) =>
        rule.kind === "table-filter" && wordsOf(rule.predicate).hasSubquery
      ) ?? false,
  };
  return {
    ...options,
    source: { ...options.source, ...common },
    target: { ...options.target, ...common },
  };
}

/**
 * Sessions that wait for the same lock are reported once, and again when none of them waits any
 * longer.
 */
function lockWaitEvents(events: EventSink): LockWaitSink {
  /** Waiting processes by lock. */
  const reported = new Map<string, Set<number>>();
  return (wait) => {
    const where = `${wait.side}, database ${wait.database}`;
    const key = `${where}: ${wait.object}`;
    const known = reported.get(key);
    if (wait.kind === "over") {
      known?.delete(wait.processId);
      if (known === undefined || known.size > 0) return;
      reported.delete(key);
      const after = formatDuration(wait.waitedMs);
      events({
        kind: "info",
        message: `${where}: no longer waiting for ${wait.object} (waited ${after})`,
      });
      return;
    }
    reported.set(key, (known ?? new Set()).add(wait.processId));
    if (known !== undefined) return;
    events({ kind: "info", message: `${where}: ${describeLockWait(wait)} (${lockRemedy(wait)})` });
  };
}

function lockRemedy({ side, blockers }: LockWait): string {
  const pids = blockers.map(({ processId }) => processId).filter((pid) => pid !== 0);
  if (pids.length === 0) return "commit or roll back the prepared transaction";
  const statements = pids.map((pid) => `SELECT pg_catalog.pg_terminate_backend(${pid});`);
  return `let it finish, or end it on the ${side}: ${statements.join(" ")}`;
}
