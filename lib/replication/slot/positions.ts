/**
 * Where both sides stand: the source's WAL and its slots, the target's subscriptions and their
 * workers.
 *
 * Source: PostgreSQL documentation, "52.19. pg_replication_slots", "27.2.8. pg_stat_subscription".
 *
 * @module
 */
import { type Lsn, parseLsn, parseOptionalLsn } from "../../core/internal.ts";
import { type Session, textArray } from "../../postgres/internal.ts";

/** How far the source's WAL has come. */
export interface WalPosition {
  /**
   * Behind everything that was committed so far: `pg_current_wal_insert_lsn()`; the write position
   * would miss transactions that were committed with `synchronous_commit = off` a moment ago. On a
   * standby, replayed.
   */
  readonly inserted: Lsn;
  /** On disk; changes are sent up to here. On a standby, received. */
  readonly flushed: Lsn;
  readonly inRecovery: boolean;
}

/**
 * `reserved`, `extended` (beyond max_wal_size), `unreserved` (may be removed any moment), `lost`.
 * 13+
 */
export type WalStatus = "reserved" | "extended" | "unreserved" | "lost";

/** A logical replication slot. */
export interface SlotState {
  readonly name: string;
  readonly plugin: string;
  /** The database whose changes it carries. */
  readonly database: string;
  readonly temporary: boolean;
  readonly active: boolean;
  /** The walsender that reads it. */
  readonly activePid: number | undefined;
  /** The oldest WAL that it keeps. */
  readonly restartLsn: Lsn | undefined;
  /** What the subscriber has applied and flushed. */
  readonly confirmedFlushLsn: Lsn | undefined;
  readonly walStatus: WalStatus | undefined;
  /**
   * Bytes that may still be written before it can be lost; undefined: no limit, or a version before 13.
   */
  readonly safeWalBytes: number | undefined;
  /** For how long nobody has read it. 17+ */
  readonly inactiveMs: number | undefined;
  /** Why it is of no use any more. 17+ (16: `conflict`). */
  readonly invalidationReason: string | undefined;
}

/** A subscription of the session's database and its main apply worker. */
export interface SubscriptionState {
  readonly name: string;
  readonly oid: number;
  readonly enabled: boolean;
  /** Undefined: it was taken off its slot (`slot_name = NONE`). */
  readonly slotName: string | undefined;
  readonly publications: readonly string[];
  /** The apply worker; undefined while none runs. */
  readonly workerPid: number | undefined;
  /** The last position that the worker received. */
  readonly receivedLsn: Lsn | undefined;
  /** The last position that it reported to the source. */
  readonly latestEndLsn: Lsn | undefined;
  /** Age of the source's last message, in milliseconds. */
  readonly silenceMs: number | undefined;
  /** Errors of the apply worker since the statistics were reset; undefined before 15. */
  readonly applyErrors: number | undefined;
}

const walStatement = `
  SELECT pg_catalog.pg_is_in_recovery() AS in_recovery,
         (CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
               ELSE pg_catalog.pg_current_wal_insert_lsn() END)::pg_catalog.text AS inserted,
         (CASE WHEN pg_catalog.pg_is_in_recovery() THEN coalesce(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())
               ELSE pg_catalog.pg_current_wal_flush_lsn() END)::pg_catalog.text AS flushed`;

/** Where the WAL of the session's server ends now. */
export async function readWalPosition(session: Session): Promise<WalPosition> {
  const row = await session.queryOne<{ in_recovery: boolean; inserted: string; flushed: string }>(
    walStatement,
  );
  return {
    inRecovery: row.in_recovery,
    inserted: parseLsn(row.inserted),
    flushed: parseLsn(row.flushed),
  };
}

// Columns that not every version has are looked up by name in the row as JSON.
const slotStatement = `
  SELECT s.slot_name::pg_catalog.text AS name, s.plugin::pg_catalog.text AS plugin, s.database::pg_catalog.text AS database,
         s.temporary, s.active, s.active_pid,
         s.restart_lsn::pg_catalog.text AS restart_lsn, s.confirmed_flush_lsn::pg_catalog.text AS confirmed_flush_lsn,
         pg_catalog.to_jsonb(s) ->> 'wal_status' AS wal_status,                      -- 13+
         (pg_catalog.to_jsonb(s) ->> 'safe_wal_size')::pg_catalog.float8 AS safe_wal_size,      -- 13+
         (extract(epoch FROM pg_catalog.clock_timestamp()
                  - (pg_catalog.to_jsonb(s) ->> 'inactive_since')::pg_catalog.timestamptz) * 1000)::pg_catalog.float8 AS inactive_ms, -- 17+
         coalesce(pg_catalog.to_jsonb(s) ->> 'invalidation_reason',                  -- 17+
                  CASE WHEN (pg_catalog.to_jsonb(s) ->> 'conflicting')::boolean      -- 16+
                       THEN 'conflict' END) AS invalidation_reason
    FROM pg_catalog.pg_replication_slots AS s
   WHERE s.slot_type = 'logical' AND ($1::pg_catalog.text[] IS NULL OR s.slot_name::pg_catalog.text = ANY ($1::pg_catalog.text[]))
   ORDER BY s.slot_name::pg_catalog.text COLLATE pg_catalog."C"`;

type SlotRow = {
  readonly name: string;
  readonly plugin: string;
  readonly database: string;
  readonly temporary: boolean;
  readonly active: boolean;
  readonly active_pid: number | null;
  readonly restart_lsn: string | null;
  readonly confirmed_flush_lsn: string | null;
  readonly wal_status: WalStatus | null;
  readonly safe_wal_size: number | null;
  readonly inactive_ms: number | null;
  readonly invalidation_reason: string | null;
};

/**
 * Logical slots of the session's server, of all its databases; those of the given names, or all.
 */
export async function readSlots(
  session: Session,
  names?: readonly string[],
): Promise<readonly SlotState[]> {
  const rows = await session.query<SlotRow>(slotStatement, [names ? textArray(names) : null]);
  return rows.map((row) => ({
    name: row.name,
    plugin: row.plugin,
    database: row.database,
    temporary: row.temporary,
    active: row.active,
    activePid: row.active_pid ?? undefined,
    restartLsn: parseOptionalLsn(row.restart_lsn),
    confirmedFlushLsn: parseOptionalLsn(row.confirmed_flush_lsn),
    walStatus: row.wal_status ?? undefined,
    safeWalBytes: row.safe_wal_size ?? undefined,
    inactiveMs: row.inactive_ms ?? undefined,
    invalidationReason: row.invalidation_reason ?? undefined,
  }));
}

const ownDatabase =
  "(SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())";

const identifiersStatement = `
  SELECT s.oid, s.subname::pg_catalog.text AS name FROM pg_catalog.pg_subscription AS s WHERE s.subdbid = ${ownDatabase}`;

// before 14 the column oid is for superusers; a name that two databases have cannot be told apart
// then
const identifiersByNameStatement = `
  SELECT DISTINCT w.subid AS oid, w.subname::pg_catalog.text AS name
    FROM pg_catalog.pg_stat_subscription AS w
    JOIN pg_catalog.pg_subscription AS s ON s.subname = w.subname
   WHERE s.subdbid = ${ownDatabase}`;

/**
 * A subquery of the session's database's subscriptions (`oid`, `name`), as our role may read them.
 */
export async function subscriptionIdentifiers(session: Session): Promise<string> {
  if (session.majorVersion >= 14) return identifiersStatement;
  const { allowed } = await session.queryOne<{ allowed: boolean }>(
    "SELECT pg_catalog.has_column_privilege('pg_subscription', 'oid', 'SELECT') AS allowed",
  );
  return allowed ? identifiersStatement : identifiersByNameStatement;
}

// Not to_jsonb(pg_subscription): its connection string may be read by superusers only.
const subscriptionStatement = (identifiers: string) => `
  SELECT s.subname::pg_catalog.text AS name, i.oid, s.subenabled AS enabled, s.subslotname::pg_catalog.text AS slot_name,
         pg_catalog.to_json(s.subpublications) AS publications,
         w.pid AS worker_pid, w.received_lsn::pg_catalog.text AS received_lsn,
         w.latest_end_lsn::pg_catalog.text AS latest_end_lsn,
         (extract(epoch FROM pg_catalog.clock_timestamp() - w.last_msg_receipt_time) * 1000)::pg_catalog.float8 AS silence_ms
    FROM pg_catalog.pg_subscription AS s
    JOIN (${identifiers}) AS i ON i.name = s.subname
    LEFT JOIN pg_catalog.pg_stat_subscription AS w
           ON w.subid = i.oid AND w.relid IS NULL AND w.pid IS NOT NULL
          AND pg_catalog.to_jsonb(w) ->> 'leader_pid' IS NULL                        -- 16+
   WHERE s.subdbid = ${ownDatabase}
     AND ($1::pg_catalog.text[] IS NULL OR s.subname::pg_catalog.text = ANY ($1::pg_catalog.text[]))
   ORDER BY s.subname::pg_catalog.text COLLATE pg_catalog."C"`;

/** The view came with 15. */
const applyErrorStatement = `
  SELECT subid, apply_error_count::pg_catalog.float8 AS errors FROM pg_catalog.pg_stat_subscription_stats`;

type SubscriptionRow = {
  readonly name: string;
  readonly oid: number;
  readonly enabled: boolean;
  readonly slot_name: string | null;
  readonly publications: readonly string[];
  readonly worker_pid: number | null;
  readonly received_lsn: string | null;
  readonly latest_end_lsn: string | null;
  readonly silence_ms: number | null;
};

/** Subscriptions of the session's database; those of the given names, or all. */
export async function readSubscriptions(
  session: Session,
  names?: readonly string[],
): Promise<readonly SubscriptionState[]> {
  const statement = subscriptionStatement(await subscriptionIdentifiers(session));
  const rows = await session.query<SubscriptionRow>(statement, [names ? textArray(names) : null]);
  const errors = new Map<number, number>();
  if (session.majorVersion >= 15) {
    for (
      const row of await session.query<{ subid: number; errors: number }>(applyErrorStatement)
    ) errors.set(row.subid, row.errors);
  }
  return rows.map((row) => ({
    name: row.name,
    oid: row.oid,
    enabled: row.enabled,
    slotName: row.slot_name ?? undefined,
    publications: row.publications,
    workerPid: row.worker_pid ?? undefined,
    receivedLsn: parseOptionalLsn(row.received_lsn),
    latestEndLsn: parseOptionalLsn(row.latest_end_lsn),
    silenceMs: row.silence_ms ?? undefined,
    applyErrors: errors.get(row.oid),
  }));
}
