/**
 * How far behind, and how fast: from two readings a moment apart. Pure.
 *
 * @module
 */
import { type Lsn, lsnDistance } from "../../core/internal.ts";
import type { SlotState } from "../slot/read_slots.ts";

/** What the source said at one moment. */
export interface SourceReading {
  /** When, in milliseconds of a clock that only grows. */
  readonly atMs: number;
  /** Where the WAL ended. */
  readonly wal: Lsn;
  readonly slots: readonly SlotReading[];
}

/** A slot, with what the server's statistics and WAL files tell about its reader. */
export interface SlotReading extends SlotState {
  /**
   * Of the walsender: how long the last changes took from being sent to being applied. NULL when
   * idle.
   */
  readonly replayLagMs: number | undefined;
  /** Age of the WAL segment that the confirmed position is in, when it is not the current one. */
  readonly segmentAgeMs: number | undefined;
}

/** How far a slot's subscriber is behind. */
export interface Lag {
  /** WAL from the confirmed position to the end. */
  readonly bytes: number | undefined;
  /**
   * Since when changes wait; 0 when none does; undefined: it cannot be told. At least this much.
   */
  readonly seconds: number | undefined;
  /** Applied by the subscriber. */
  readonly appliedBytesPerSecond: number | undefined;
  /** How long until nothing waits, at these rates; undefined: never, or it cannot be told. */
  readonly catchUpSeconds: number | undefined;
}

/** WAL that the source writes; undefined when the readings are of one moment. */
export function walRate(before: SourceReading, now: SourceReading): number | undefined {
  return rate(before.wal, now.wal, now.atMs - before.atMs);
}

/**
 * The lag of one slot. When everything that was written at the first reading was applied by the
 * second, it is what the walsender measured (nothing when idle), for it cannot be more than the
 * time between the readings. Else changes wait at least for the longest of: that time, the
 * walsender's measure, the silence of the worker, the age of the WAL file.
 *
 * @param silenceMs age of the last message that the apply worker has taken
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
 * Hours until the server gives the slot up at this rate; undefined: no limit, nothing written, or a
 * version before 13.
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
