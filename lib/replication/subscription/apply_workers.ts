/**
 * Apply workers: what they wait for, and their errors and conflicts. Only reads.
 *
 * Source: PostgreSQL documentation, "27.2. The Cumulative Statistics System".
 *
 * @module
 */
import type { Session } from "../../postgres/internal.ts";

/** A session whose lock an apply worker waits for. */
export interface ApplyBlocker {
  /** The backend that waits. */
  readonly workerPid: number;
  /** The backend that holds the lock; 0 for a prepared transaction. */
  readonly pid: number;
  /** Its role; undefined for a prepared transaction. */
  readonly user: string | undefined;
  /** Its `application_name`; undefined if it is not visible. */
  readonly application: string | undefined;
  /** The age of its transaction. */
  readonly transactionMs: number | undefined;
}

const blockerStatement = `
  SELECT w.pid AS worker_pid, b.pid AS pid, a.usename::pg_catalog.text AS username, a.application_name AS application,
         (extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start) * 1000)::pg_catalog.float8 AS transaction_ms
    FROM (SELECT s.pid FROM pg_catalog.pg_stat_subscription AS s WHERE s.pid IS NOT NULL AND $1::pg_catalog.int4[] IS NULL
          UNION SELECT pg_catalog.unnest($1::pg_catalog.int4[])) AS w
   CROSS JOIN LATERAL pg_catalog.unnest(pg_catalog.pg_blocking_pids(w.pid)) AS b (pid)
    LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = b.pid
   ORDER BY w.pid, b.pid`;

/**
 * Reads the sessions whose locks apply workers wait for.
 *
 * @param pids backends that apply changes; undefined for the workers of the server's subscriptions
 */
export async function readBlockers(
  session: Session,
  pids?: readonly number[],
): Promise<readonly ApplyBlocker[]> {
  const rows = await session.query<{
    readonly worker_pid: number;
    readonly pid: number;
    readonly username: string | null;
    readonly application: string | null;
    readonly transaction_ms: number | null;
  }>(blockerStatement, [pids === undefined ? null : `{${pids.join(",")}}`]);
  return rows.map((row) => ({
    workerPid: row.worker_pid,
    pid: row.pid,
    user: row.username ?? undefined,
    application: row.application ?? undefined,
    transactionMs: row.transaction_ms ?? undefined,
  }));
}

/** A subscription's counters since its statistics were reset. 15+ */
export interface SubscriptionCounters {
  readonly applyErrors: number;
  readonly syncErrors: number;
  /** By kind, without zeros: `insert_exists`, `update_missing`… 18+ */
  readonly conflicts: Readonly<Record<string, number>>;
}

const counterStatement = `
  SELECT subname::pg_catalog.text AS name, pg_catalog.to_jsonb(c) AS counters FROM pg_catalog.pg_stat_subscription_stats AS c`;

/** Reads the counters of the server's subscriptions, by name; empty before 15. */
export async function readCounters(
  session: Session,
): Promise<ReadonlyMap<string, SubscriptionCounters>> {
  if (session.majorVersion < 15) return new Map();
  const rows = await session.query<
    { readonly name: string; readonly counters: Readonly<Record<string, unknown>> }
  >(counterStatement);
  return new Map(rows.map(({ name, counters }) => [name, {
    applyErrors: Number(counters["apply_error_count"] ?? 0),
    syncErrors: Number(counters["sync_error_count"] ?? 0),
    conflicts: Object.fromEntries(
      Object.entries(counters)
        .filter(([key, value]) => key.startsWith("confl_") && Number(value) > 0)
        .map(([key, value]) => [key.slice("confl_".length), Number(value)]),
    ),
  }]));
}

/** One reading of a subscription's worker: two of them show whether it keeps restarting. */
export interface WorkerReading {
  /** Undefined while none is running. */
  readonly pid: number | undefined;
  /** Undefined before 15. */
  readonly applyErrors: number | undefined;
}

const workerStatement = `
  SELECT subname::pg_catalog.text AS name, pg_catalog.max(pid) AS pid
    FROM pg_catalog.pg_stat_subscription AS w
   WHERE relid IS NULL AND pg_catalog.to_jsonb(w) ->> 'leader_pid' IS NULL
   GROUP BY 1`;

/** Reads the workers of the server's subscriptions, by name. */
export async function readWorkers(
  session: Session,
): Promise<ReadonlyMap<string, WorkerReading>> {
  const rows = await session.query<{ readonly name: string; readonly pid: number | null }>(
    workerStatement,
  );
  const counters = await readCounters(session);
  return new Map(rows.map(({ name, pid }) => [name, {
    pid: pid ?? undefined,
    applyErrors: counters.get(name)?.applyErrors,
  }]));
}
