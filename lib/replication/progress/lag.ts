/**
 * Replication lag and rates, computed from two readings of the source. Pure.
 *
 * @module
 */
import { type Lsn, lsnDistance } from "../../core/internal.ts";
import type { SlotState } from "../slot/read_slots.ts";

/** One reading of the source. */
export interface SourceReading {
  /** The time of the reading, in milliseconds of a monotonic clock. */
  readonly atMs: number;
  /** The end of WAL. */
  readonly wal: Lsn;
  readonly slots: readonly SlotReading[];
}

/** A slot, with what the server's statistics and WAL files show about its reader. */
export interface SlotReading extends SlotState {
  /** The walsender's `replay_lag`; undefined when idle. */
  readonly replayLagMs: number | undefined;
  /** Age of the WAL segment that contains the confirmed position, if it is not the current one. */
  readonly segmentAgeMs: number | undefined;
}

/** How far a slot's subscriber has fallen behind. */
export interface Lag {
  /** WAL between the confirmed position and the end. */
  readonly bytes: number | undefined;
  /** Minimum age of the oldest pending change; 0 if none is pending, undefined if unknown. */
  readonly seconds: number | undefined;
  /** WAL that the subscriber applies. */
  readonly appliedBytesPerSecond: number | undefined;
  /** Time until nothing is pending, at these rates; undefined if never, or unknown. */
  readonly catchUpSeconds: number | undefined;
}

/** WAL that the source writes, in bytes per second; undefined between simultaneous readings. */
export function walRate(before: SourceReading, now: SourceReading): number | undefined {
  return rate(before.wal, now.wal, now.atMs - before.atMs);
}

/**
 * The lag of one slot. If everything written by the first reading was applied by the second, it is
 * what the walsender measured (nothing when idle), limited to the time between the readings.
 * Otherwise it is at least the longest of: that time, the walsender's measurement, the age of the
 * worker's last message, the age of the WAL segment.
 *
 * @param silenceMs age of the last message that the apply worker has received
 */
export function lagOf(
  name: string,
  { before, now, silenceMs }: {
    readonly before: SourceReading;
    readonly now: SourceReading;
    readonly silenceMs: number | undefined;
  },
): Lag {
  const slot = now.slots.find((each) => each.name === name);
  const earlier = before.slots.find((each) => each.name === name)?.confirmedFlushLsn;
  const confirmed = slot?.confirmedFlushLsn;
  if (slot === undefined || confirmed === undefined || slot.walStatus === "lost") {
    return {
      bytes: undefined,
      seconds: undefined,
      appliedBytesPerSecond: undefined,
      catchUpSeconds: undefined,
    };
  }
  const bytes = Math.max(0, lsnDistance(confirmed, now.wal));
  const betweenMs = now.atMs - before.atMs;
  const applied = earlier === undefined ? undefined : rate(earlier, confirmed, betweenMs);
  const written = walRate(before, now);
  const gain = applied === undefined || written === undefined ? undefined : applied - written;
  return {
    bytes,
    seconds: secondsBehind({ slot, bytes, before: before.wal, betweenMs, silenceMs }),
    appliedBytesPerSecond: applied,
    catchUpSeconds: bytes === 0 ? 0 : gain !== undefined && gain > 0 ? bytes / gain : undefined,
  };
}

function secondsBehind({ slot, bytes, before, betweenMs, silenceMs }: {
  readonly slot: SlotReading;
  readonly bytes: number;
  readonly before: Lsn;
  readonly betweenMs: number;
  readonly silenceMs: number | undefined;
}): number | undefined {
  if (bytes === 0) return 0;
  const measured = slot.replayLagMs ?? 0;
  if (slot.confirmedFlushLsn !== undefined && slot.confirmedFlushLsn >= before && betweenMs > 0) {
    return Math.min(measured, betweenMs) / 1000;
  }
  const known = [slot.segmentAgeMs, slot.active ? silenceMs : slot.inactiveMs]
    .filter((ms) => ms !== undefined);
  if (!slot.active && known.length === 0) return undefined;
  return Math.max(betweenMs, measured, ...known) / 1000;
}

function rate(from: Lsn, to: Lsn, ms: number): number | undefined {
  return ms <= 0 ? undefined : Math.max(0, lsnDistance(from, to)) / (ms / 1000);
}

/**
 * Hours until the server invalidates the slot at this rate; undefined without a limit, without
 * writes, or before 13.
 */
export function hoursUntilLost(
  { safeWalBytes }: Pick<SlotState, "safeWalBytes">,
  walBytesPerSecond: number | undefined,
): number | undefined {
  if (safeWalBytes === undefined) return undefined;
  if (safeWalBytes <= 0) return 0;
  if (walBytesPerSecond === undefined || walBytesPerSecond <= 0) return undefined;
  return safeWalBytes / walBytesPerSecond / 3600;
}
