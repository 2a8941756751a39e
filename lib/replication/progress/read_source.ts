/**
 * The source's WAL position, and the tool's slots with their lag. Only reads.
 *
 * Source: PostgreSQL documentation, "27.2. The Cumulative Statistics System".
 *
 * @module
 */
import { formatLsn, type Lsn } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import type { SlotReading, SourceReading } from "./lag.ts";
import type { SlotState } from "../slot/read_slots.ts";
import { readWalPosition } from "../slot/wal_position.ts";
import { listOwnedSlots } from "../slot/list_owned_slots.ts";

const senderStatement = `
  SELECT pid, (extract(epoch FROM replay_lag) * 1000)::pg_catalog.float8 AS replay_lag_ms
    FROM pg_catalog.pg_stat_replication`;

const waldirAllowedStatement = `
  SELECT pg_catalog.has_function_privilege('pg_catalog.pg_ls_waldir()', 'EXECUTE') AND NOT pg_catalog.pg_is_in_recovery() AS allowed`;

const segmentAgeStatement = `
  SELECT (extract(epoch FROM pg_catalog.clock_timestamp() - f.modification) * 1000)::pg_catalog.float8 AS age_ms
    FROM pg_catalog.pg_ls_waldir() AS f
   WHERE f.name = pg_catalog.pg_walfile_name($1::pg_catalog.pg_lsn) AND f.name <> pg_catalog.pg_walfile_name($2::pg_catalog.pg_lsn)`;

/** The default WAL segment size: within one segment, its age says nothing about the lag. */
const segmentBytes = 16n * 1024n * 1024n;

/**
 * Reads the WAL position and the tool's slots.
 *
 * @param atMs the time, on the caller's monotonic clock
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
