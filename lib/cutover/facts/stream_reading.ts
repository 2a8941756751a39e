/**
 * What both sides show of a stream. Only reads.
 *
 * @module
 */
import { formatBytes, type Lsn, lsnDistance, type TableName } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import {
  type ApplierKind,
  type ApplierProgress,
  type ApplierReading,
  isSlotLost,
  readAppliers,
  readSlots,
  readWalPosition,
  type SlotState,
  type StreamState,
  streamState,
} from "../../replication/internal.ts";

/** A stream that leaves the side in use. */
export interface StreamReading {
  readonly name: string;
  readonly state: StreamState;
  /** What applies its changes; undefined without an applier. */
  readonly kind: ApplierKind | undefined;
  /** Why this tool's own applier has stopped; undefined unless it has. */
  readonly error: string | undefined;
  /** WAL that the other side has not confirmed, in bytes; undefined without a slot. */
  readonly lagBytes: number | undefined;
  /** Tables whose first copy is not complete. */
  readonly unready: readonly TableName[];
  /** Why the server could remove the WAL that the slot needs; undefined if it will not. */
  readonly risk: string | undefined;
}

/** Reads the streams of these names that lead from one side to the other. */
export async function readStreamReadings(
  names: readonly string[],
  { from, to }: { readonly from: Session; readonly to: Session },
): Promise<readonly StreamReading[]> {
  const departure = await readDeparture(from, names);
  const appliers = await readAppliers(to);
  return names.map((name) => streamReading(name, { departure, appliers }));
}

/** What the side that streams leave shows of them. */
export interface StreamDeparture {
  readonly slots: readonly SlotState[];
  /** The position up to which the server has written WAL. */
  readonly inserted: Lsn;
}

/** Reads the slots of streams. */
export async function readDeparture(
  session: Session,
  names: readonly string[],
): Promise<StreamDeparture> {
  const slots = await readSlots(session, names);
  const { inserted } = await readWalPosition(session);
  return { slots, inserted };
}

/** A stream as both its sides show it. */
export function streamReading(
  name: string,
  { departure: { slots, inserted }, appliers }: {
    readonly departure: StreamDeparture;
    /** With the tables they apply, where first copies matter. */
    readonly appliers: readonly (ApplierProgress & Partial<Pick<ApplierReading, "tables">>)[];
  },
): StreamReading {
  const slot = slots.find((each) => each.name === name);
  const applier = appliers.find((each) => each.name === name);
  return {
    name,
    state: streamState({
      slot,
      applier,
      sourceReachable: true,
      targetReachable: true,
      activity: undefined,
    }),
    kind: applier?.kind,
    error: applier?.error?.message,
    lagBytes: slot?.confirmedFlushLsn === undefined
      ? undefined
      : Math.max(0, lsnDistance(slot.confirmedFlushLsn, inserted)),
    unready:
      applier?.tables?.filter(({ state }) => state !== "ready" && state !== "synchronized") ??
        [],
    risk: slot === undefined ? undefined : slotRisk(slot),
  };
}

const minSafeBytes = 64 * 1024 * 1024;

function slotRisk(slot: SlotState): string | undefined {
  if (isSlotLost(slot)) return `it is lost (${slot.invalidationReason ?? "WAL was removed"})`;
  if (slot.walStatus === "unreserved") return "its WAL may be removed at the next checkpoint";
  return slot.safeWalBytes !== undefined && slot.safeWalBytes < minSafeBytes
    ? `${formatBytes(slot.safeWalBytes)} of WAL are left until it is lost`
    : undefined;
}
