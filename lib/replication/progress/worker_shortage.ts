/**
 * Whether a subscription waits for an apply worker that the target cannot start.
 *
 * @module
 */
import { ExitCode, plural, quoteIdentifier, ReplicatorError } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";

/** A limit that leaves a subscription without an apply worker. */
interface WorkerShortage {
  readonly setting: "max_logical_replication_workers" | "max_worker_processes";
  readonly limit: number;
  /** Subscriptions whose workers run, of all databases. */
  readonly subscriptions: readonly string[];
}

interface WorkerRow {
  readonly max_logical: number;
  readonly max_processes: number;
  readonly subscriptions: readonly string[];
  /** Background workers that stay; null if the role may not see what processes are. */
  readonly processes: number | null;
}

// Workers for initial table synchronization, and for applying or querying in parallel, end by
// themselves, so they do not count. Source: PostgreSQL documentation, chapter "Logical
// Replication", "Configuration Settings".
const workersStatement = `
  SELECT pg_catalog.current_setting('max_logical_replication_workers')::pg_catalog.int4 AS max_logical,
         pg_catalog.current_setting('max_worker_processes')::pg_catalog.int4 AS max_processes,
         (SELECT coalesce(pg_catalog.json_agg(w.subname ORDER BY w.subname), '[]')
            FROM pg_catalog.pg_stat_subscription AS w
           WHERE w.pid IS NOT NULL AND w.relid IS NULL
             AND pg_catalog.to_jsonb(w) ->> 'leader_pid' IS NULL) AS subscriptions, -- 16+
         (SELECT CASE WHEN pg_catalog.bool_and(a.backend_type IS NOT NULL)
                 THEN (pg_catalog.count(*) FILTER (
                        WHERE a.backend_type <> ALL (ARRAY['client backend', 'walsender', 'walreceiver',
                                'autovacuum launcher', 'autovacuum worker', 'startup', 'archiver',
                                'background writer', 'checkpointer', 'walwriter', 'walsummarizer',
                                'slotsync worker', 'io worker', 'logger', 'parallel worker',
                                'logical replication parallel worker',
                                'logical replication tablesync worker'])))::pg_catalog.int4 END
            FROM pg_catalog.pg_stat_activity AS a) AS processes`;

async function findShortage(target: Session): Promise<WorkerShortage | undefined> {
  const row = await target.queryOne<WorkerRow & Record<string, unknown>>(workersStatement);
  const { subscriptions } = row;
  if (subscriptions.length >= row.max_logical) {
    return { setting: "max_logical_replication_workers", limit: row.max_logical, subscriptions };
  }
  if (row.processes !== null && row.processes >= row.max_processes) {
    return { setting: "max_worker_processes", limit: row.max_processes, subscriptions };
  }
  return undefined;
}

/**
 * Refuses to wait for an apply worker if those of other subscriptions, or other background workers,
 * use up what the target may start. They do not end by themselves.
 *
 * @throws ReplicatorError with the setting and the subscriptions that have workers
 */
export async function refuseWorkerShortage(name: string, target: Session): Promise<void> {
  const shortage = await findShortage(target);
  if (shortage === undefined) return;
  const { setting, limit, subscriptions } = shortage;
  throw new ReplicatorError(
    `no apply worker is running, because the target may not start another one: ${setting} is ${limit}`,
    {
      side: "target",
      object: `subscription ${quoteIdentifier(name)}`,
      details: subscriptions.length === 0 ? [] : [
        `${
          plural(subscriptions.length, "subscription has a worker", "subscriptions have workers")
        }: ${subscriptions.join(", ")}`,
      ],
      remedy: `raise ${setting} on the target (needs a restart), or disable subscriptions there ` +
        "that are no longer needed; then run sync, which resumes",
      exitCode: ExitCode.unhealthy,
    },
  );
}
