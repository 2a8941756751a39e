/**
 * What both servers say about our streams of changes. Only reads.
 *
 * Source: PostgreSQL documentation, "27.2. The Cumulative Statistics System", "52.55.
 * pg_subscription_rel".
 *
 * @module
 */
import { formatLsn, type Lsn } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import type { SlotReading, SourceReading } from "../progress/lag.ts";
import { listOwnedSlots } from "./list_owned_objects.ts";
import { readWalPosition, type SlotState, subscriptionIdentifiers } from "../slot/positions.ts";

const senderStatement = `
  SELECT pid, (extract(epoch FROM replay_lag) * 1000)::pg_catalog.float8 AS replay_lag_ms
    FROM pg_catalog.pg_stat_replication`;

const waldirAllowedStatement = `
  SELECT pg_catalog.has_function_privilege('pg_catalog.pg_ls_waldir()', 'EXECUTE') AND NOT pg_catalog.pg_is_in_recovery() AS allowed`;

const segmentAgeStatement = `
  SELECT (extract(epoch FROM pg_catalog.clock_timestamp() - f.modification) * 1000)::pg_catalog.float8 AS age_ms
    FROM pg_catalog.pg_ls_waldir() AS f
   WHERE f.name = pg_catalog.pg_walfile_name($1::pg_catalog.pg_lsn) AND f.name <> pg_catalog.pg_walfile_name($2::pg_catalog.pg_lsn)`;

/** Less is within one WAL segment of the usual size, whose age tells nothing. */
const segmentBytes = 16n * 1024n * 1024n;

/**
 * Reads WAL position and our slots.
 *
 * @param atMs the moment, on the caller's clock that only grows
 */
export async function readSourceWal(session: Session, atMs: number): Promise<SourceReading> {
  const wal = (await readWalPosition(session)).inserted;
  const slots = await listOwnedSlots(session);
  const lags = new Map(
    (await session.query<{ pid: number; replay_lag_ms: number | null }>(senderStatement))
      .map(({ pid, replay_lag_ms }) => [pid, replay_lag_ms ?? undefined]),
  );
  const readings: SlotReading[] = [];
  for (const slot of slots) {
    readings.push({
      ...slot,
      replayLagMs: slot.activePid === undefined ? undefined : lags.get(slot.activePid),
      segmentAgeMs: await readSegmentAge(session, slot, wal),
    });
  }
  return { atMs, wal, slots: readings };
}

async function readSegmentAge(
  session: Session,
  { confirmedFlushLsn }: SlotState,
  wal: Lsn,
): Promise<number | undefined> {
  if (confirmedFlushLsn === undefined || wal - confirmedFlushLsn < segmentBytes) return undefined;
  const { allowed } = await session.queryOne<{ allowed: boolean }>(waldirAllowedStatement);
  if (!allowed) return undefined;
  const [row] = await session.query<{ age_ms: number }>(segmentAgeStatement, [
    formatLsn(confirmedFlushLsn),
    formatLsn(wal),
  ]);
  return row?.age_ms;
}

/**
 * How far the first copy of a table is, in words. We make subscriptions without copying: `ready`
 * from the start.
 */
export type TableState = "init" | "copying" | "finished" | "synchronized" | "ready";

/** A table of a subscription. */
export interface SubscribedTable {
  readonly subscription: string;
  readonly schema: string;
  readonly name: string;
  readonly state: TableState;
  readonly lsn: string | undefined;
}

const tableStatement = (identifiers: string) => `
  SELECT s.name AS subscription, n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS name,
         CASE r.srsubstate WHEN 'i' THEN 'init' WHEN 'd' THEN 'copying' WHEN 'f' THEN 'finished'
                           WHEN 's' THEN 'synchronized' ELSE 'ready' END AS state,
         r.srsublsn::pg_catalog.text AS lsn
    FROM pg_catalog.pg_subscription_rel AS r
    JOIN (${identifiers}) AS s ON s.oid = r.srsubid
    JOIN pg_catalog.pg_class AS c ON c.oid = r.srrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   ORDER BY 1, n.nspname::pg_catalog.text COLLATE pg_catalog."C", c.relname::pg_catalog.text COLLATE pg_catalog."C"`;

/** Tables of all subscriptions of the session's database. */
export async function readSubscribedTables(session: Session): Promise<readonly SubscribedTable[]> {
  const rows = await session.query<
    Omit<SubscribedTable, "lsn"> & { readonly lsn: string | null }
  >(tableStatement(await subscriptionIdentifiers(session)));
  return rows.map((row) => ({ ...row, lsn: row.lsn ?? undefined }));
}

/** What the apply worker waits for. */
export interface ApplyBlocker {
  readonly workerPid: number;
  readonly pid: number;
  readonly user: string | undefined;
  readonly application: string | undefined;
  /** For how long it has been in its transaction. */
  readonly transactionMs: number | undefined;
}

const blockerStatement = `
  SELECT w.pid AS worker_pid, b.pid AS pid, a.usename::pg_catalog.text AS username, a.application_name AS application,
         (extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start) * 1000)::pg_catalog.float8 AS transaction_ms
    FROM pg_catalog.pg_stat_subscription AS w
   CROSS JOIN LATERAL pg_catalog.unnest(pg_catalog.pg_blocking_pids(w.pid)) AS b (pid)
    LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = b.pid
   WHERE w.pid IS NOT NULL
   ORDER BY w.pid, b.pid`;

/** Sessions whose locks hold apply workers up. */
export async function readBlockers(session: Session): Promise<readonly ApplyBlocker[]> {
  const rows = await session.query<{
    readonly worker_pid: number;
    readonly pid: number;
    readonly username: string | null;
    readonly application: string | null;
    readonly transaction_ms: number | null;
  }>(blockerStatement);
  return rows.map((row) => ({
    workerPid: row.worker_pid,
    pid: row.pid,
    user: row.username ?? undefined,
    application: row.application ?? undefined,
    transactionMs: row.transaction_ms ?? undefined,
  }));
}

/** Counters of a subscription since its statistics were reset. 15+ */
export interface SubscriptionCounters {
  readonly applyErrors: number;
  readonly syncErrors: number;
  /** By kind, without those that are zero: `insert_exists`, `update_missing`… 18+ */
  readonly conflicts: Readonly<Record<string, number>>;
}

const counterStatement = `
  SELECT subname::pg_catalog.text AS name, pg_catalog.to_jsonb(c) AS counters FROM pg_catalog.pg_stat_subscription_stats AS c`;

/** Counters of the server's subscriptions by name; empty before 15. */
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

/**
 * A subscription's worker at a moment, to tell one that works from one that starts again and again.
 */
export interface WorkerReading {
  /** Undefined while none runs. */
  readonly pid: number | undefined;
  /** Undefined before 15. */
  readonly applyErrors: number | undefined;
}

const workerStatement = `
  SELECT subname::pg_catalog.text AS name, pg_catalog.max(pid) AS pid
    FROM pg_catalog.pg_stat_subscription AS w
   WHERE relid IS NULL AND pg_catalog.to_jsonb(w) ->> 'leader_pid' IS NULL
   GROUP BY 1`;

/** The workers of all of the server's subscriptions, by name. */
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
