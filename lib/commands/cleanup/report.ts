/**
 * What `cleanup` finds and does: plain data.
 *
 * @module
 */
import type { Side } from "../../core/internal.ts";

/** What kind of thing it is. */
export type CleanupKind =
  | "subscription"
  | "slot"
  | "publication"
  | "replica-identity"
  | "ledger"
  | "state-file";

/** One thing that the tool has made, or changed. */
export interface CleanupItem {
  readonly kind: CleanupKind;
  /** Undefined for files of this machine. */
  readonly side?: Side;
  readonly database?: string;
  /** Of a replica identity: of the table. */
  readonly name: string;
  /** The publication that a replica identity was changed for. */
  readonly publication?: string;
  /** What there is to know before it goes. */
  readonly detail: string;
}

/** Something like ours that stays, and why. */
export interface KeptItem extends CleanupItem {
  readonly reason: string;
}

/** What `cleanup` would do. */
export interface CleanupPlan {
  /** In the order in which they go. */
  readonly items: readonly CleanupItem[];
  readonly kept: readonly KeptItem[];
  /** Sides that could not be asked. */
  readonly unreachable: readonly UnreachableSide[];
}

/** A side that could not be asked, and what is probably left there. */
export interface UnreachableSide {
  readonly side: Side;
  readonly url: string;
  readonly problem: string;
  /** Statements to run there, as far as the other side knows. */
  readonly byHand: readonly string[];
}

/** Something that could not be removed. */
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
