/**
 * The logical replication slots of a server. Only reads.
 *
 * Source: PostgreSQL documentation, "52.19. pg_replication_slots".
 *
 * @module
 */
import { type Lsn, parseOptionalLsn } from "../../core/internal.ts";
import { type Session, textArray } from "../../postgres/internal.ts";

/**
 * Whether the WAL that a slot needs is available: `extended` exceeds `max_wal_size`, `unreserved`
 * may be removed at the next checkpoint. Set by the source's server. 13+
 */
export const walStatuses = ["reserved", "extended", "unreserved", "lost"] as const;

/** One of {@linkcode walStatuses}. */
export type WalStatus = typeof walStatuses[number];

/** A logical replication slot. */
export interface SlotState {
  /** Slot name, unquoted. */
  readonly name: string;
  /** Output plugin: `pgoutput` for the tool's slots. */
  readonly plugin: string;
  /** The database whose changes it delivers. */
  readonly database: string;
  /** Whether it is dropped when its session ends. */
  readonly temporary: boolean;
  /** Whether a walsender is reading it. */
  readonly active: boolean;
  /** The walsender that is reading it. */
  readonly activePid: number | undefined;
  /** The start of the WAL that it retains. */
  readonly restartLsn: Lsn | undefined;
  /** Up to where the subscriber has applied and flushed changes. */
  readonly confirmedFlushLsn: Lsn | undefined;
  /** `reserved`, `extended`, `unreserved` or `lost`; undefined before 13. */
  readonly walStatus: WalStatus | undefined;
  /** Bytes of WAL until it can be lost; undefined without a limit, or before 13. */
  readonly safeWalBytes: number | undefined;
  /** For how long it has not been read. 17+ */
  readonly inactiveMs: number | undefined;
  /** Why the server has invalidated it. 17+ (16: `conflict`). */
  readonly invalidationReason: string | undefined;
}

// columns that some versions lack are read from the row as JSON
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

/** Reads the logical slots of all databases of the session's server: those named, or all. */
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
