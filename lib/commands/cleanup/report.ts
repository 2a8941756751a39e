/**
 * What `cleanup` finds and does: plain data.
 *
 * @module
 */
import type { Side } from "../../core/internal.ts";

/** What kind of object it is. */
export type CleanupKind =
  | "subscription"
  | "slot"
  | "publication"
  | "replica-identity"
  | "ledger"
  | "state-file";

/** One object that the tool has created or changed. */
export interface CleanupItem {
  readonly kind: CleanupKind;
  /** Undefined for files on this machine. */
  readonly side?: Side;
  readonly database?: string;
  /** The object's name; for a replica identity, the table's. */
  readonly name: string;
  /** The publication for which a replica identity was changed. */
  readonly publication?: string;
  /** What to know before it is removed. */
  readonly detail: string;
}

/** An object that is kept, and why. */
export interface KeptItem extends CleanupItem {
  readonly reason: string;
}

/** What `cleanup` would do. */
export interface CleanupPlan {
  /** In the order of removal. */
  readonly items: readonly CleanupItem[];
  readonly kept: readonly KeptItem[];
  /** Sides that could not be reached. */
  readonly unreachable: readonly UnreachableSide[];
}

/** An unreachable side, and what is probably left there. */
export interface UnreachableSide {
  readonly side: Side;
  readonly url: string;
  readonly problem: string;
  /** Statements to run there, as far as the other side shows. */
  readonly byHand: readonly string[];
}

/** An object that could not be removed. */
export interface CleanupFailure {
  readonly item: CleanupItem;
  readonly problem: string;
  readonly remedy: string | null;
}

/** The outcome of `cleanup`. */
export interface CleanupReport extends CleanupPlan {
  readonly removed: readonly CleanupItem[];
  readonly failed: readonly CleanupFailure[];
}
