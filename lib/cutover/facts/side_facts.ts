/**
 * What a preflight knows of one side of a database.
 *
 * @module
 */
import type { FenceKind } from "../../config/internal.ts";
import type { Side, TableName } from "../../core/internal.ts";
import type { FencedTable } from "../fence.ts";
import type { ReadOnlyDefaults } from "../read_only_default.ts";
import type { OtherSession } from "../session_fence.ts";

/** A transaction that may hold up the barrier. */
export interface OldTransaction {
  readonly pid: number;
  readonly user: string | undefined;
  readonly state: string | undefined;
  readonly ageMs: number;
}

/** What closing a side by its sessions needs. */
export interface SessionFacts {
  /** Sessions that the role may not terminate. */
  readonly kept: readonly OtherSession[];
  /** Roles whose own default keeps their sessions writable. */
  readonly writableRoles: readonly string[];
  /** Tables that the role may not read or change, which the way back needs. */
  readonly withoutGrants: readonly TableName[];
}

/** Facts about one side of a database. */
export interface SideFacts {
  readonly side: Side;
  readonly major: number;
  /** Tables in scope that do not exist. */
  readonly missing: readonly TableName[];
  /** Tables in scope whose triggers the role may not create: it does not own them. */
  readonly notOwned: readonly TableName[];
  /** How the side is closed. */
  readonly fenceKind: FenceKind;
  /** Undefined for a side that is closed by triggers. */
  readonly sessions: SessionFacts | undefined;
  /** Sequences of both sides that the role may not read and set here. */
  readonly sequences: readonly TableName[];
  /** Tables in scope some of whose rows are hidden from those who apply changes or count rows. */
  readonly hiddenRows: readonly TableName[];
  /** Whether the function of the fence is not the one that this version creates. */
  readonly isFenceOutdated: boolean;
  /** Read-only defaults for all roles. */
  readonly readOnlyDefaults: ReadOnlyDefaults;
  /** Roles whose own default makes their sessions read-only, also where the side is open. */
  readonly readOnlyRoles: readonly string[];
  /** Tables with a complete fence; empty before `prepare`. */
  readonly fence: readonly FencedTable[];
  /** Lock entries that the server has room for. */
  readonly maxLocks: number;
  /** Global identifiers of prepared transactions of the database. */
  readonly prepared: readonly string[];
  /** Whether the role may create schemas in the database. */
  readonly mayCreate: boolean;
  /** Whether the role may set database defaults, such as read-only. */
  readonly ownsDatabase: boolean;
  /** Whether the role may terminate sessions of other roles. */
  readonly maySignal: boolean;
  readonly walLevel: string;
  readonly freeSlots: number;
  /** Transactions older than the pause. */
  readonly oldTransactions: readonly OldTransaction[];
  /** Whether PL/pgSQL exists, in which the fence is written. */
  readonly hasPlpgsql: boolean;
  readonly isStandby: boolean;
  /** Event triggers that fire for the commands of a switch: it cannot prevent them. */
  readonly eventTriggers: readonly string[];
  /**
   * Enabled subscriptions, and streams that a running sync applies, that write into tables in scope
   * and do not belong to the cutover.
   */
  readonly subscriptions: readonly string[];
}
