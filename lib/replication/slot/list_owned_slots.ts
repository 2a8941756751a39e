/**
 * The tool's slots on a server, found by name, and the slots that servers create on their own for
 * its subscriptions. Only reads.
 *
 * @module
 */
import type { Session } from "../../postgres/internal.ts";
import { type NameParts, parseReplicationName } from "../publication/names.ts";
import { readSlots, type SlotState } from "./read_slots.ts";

/** A slot owned by the tool. */
export interface OwnedSlot extends SlotState {
  /** Scope hash and snapshot generation, parsed from the name. */
  readonly parts: NameParts;
}

/** Lists the tool's slots, of all databases of the session's server. */
export async function listOwnedSlots(session: Session): Promise<readonly OwnedSlot[]> {
  return (await readSlots(session)).flatMap((slot) => {
    const parts = parseReplicationName(slot.name);
    return parts === undefined ? [] : [{ ...slot, parts }];
  });
}

/**
 * A slot that a table synchronization worker has left behind: `pg_16394_sync_16385_7012…`.
 */
export interface TableSyncSlot {
  readonly name: string;
  readonly database: string;
  readonly active: boolean;
  /** OID of the subscription. */
  readonly subscriptionOid: number;
  /** System identifier of the subscriber; undefined before 14, where the name lacks it. */
  readonly systemIdentifier: string | undefined;
}

/**
 * Lists the slots of table synchronization workers. The OID and the system identifier say which
 * subscription a slot belongs to.
 */
export async function listTableSyncSlots(session: Session): Promise<readonly TableSyncSlot[]> {
  return (await readSlots(session)).flatMap(({ name, database, active }) => {
    const [, oid, system] = /^pg_(\d+)_sync_\d+(?:_(\d+))?$/.exec(name) ?? [];
    return oid === undefined
      ? []
      : [{ name, database, active, subscriptionOid: Number(oid), systemIdentifier: system }];
  });
}
