/**
 * What `cleanup` finds and does: plain data.
 *
 * @module
 */
import type { Side } from "../../core/internal.ts";
import type { StreamState } from "../../replication/internal.ts";

/** What kind of object it is. */
export type CleanupKind =
  | "subscription"
  | "apply-record"
  | "slot"
  | "publication"
  | "replica-identity"
  | "ledger"
  | "way-back"
  | "cutover"
  | "state-file";

/** One object that the tool has created or changed. */
export interface CleanupItem {
  /**
   * `subscription`, `apply-record` (of a stream whose changes the tool itself applies), `slot`,
   * `publication`, `replica-identity`, `ledger`, `way-back` (the stream of a cutover from the
   * target to the source), `cutover` (its fence and schema) or `state-file`.
   */
  readonly kind: CleanupKind;
  /** Undefined for files on this machine. */
  readonly side?: Side;
  /** Database of the object, on its own side; undefined for files. */
  readonly database?: string;
  /** The object's name; for a replica identity, the table's. */
  readonly name: string;
  /** The publication for which a replica identity was changed. */
  readonly publication?: string;
  /**
   * State of its stream, as `sync` and `status` name it; undefined unless it is a subscription,
   * a record or the stream's slot.
   */
  readonly state?: StreamState;
  /** What to know before it is removed. */
  readonly detail: string;
}

/** An object that is kept, and why. */
export interface KeptItem extends CleanupItem {
  /** Why it is kept, as a phrase for messages. */
  readonly reason: string;
}

/** What `cleanup` would do. */
export interface CleanupPlan {
  /** In the order of removal. */
  readonly items: readonly CleanupItem[];
  /** Objects that are not removed, with reasons. */
  readonly kept: readonly KeptItem[];
  /** Sides that could not be reached. */
  readonly unreachable: readonly UnreachableSide[];
}

/** An unreachable side, and what is probably left there. */
export interface UnreachableSide {
  /** The server that could not be reached. */
  readonly side: Side;
  /** Its address, user and database, without the password. */
  readonly url: string;
  /** Message of the error that prevented the connection. */
  readonly problem: string;
  /** Statements to run there, as far as the other side shows. */
  readonly byHand: readonly string[];
}

/** An object that could not be removed. */
export interface CleanupFailure {
  /** The object that still exists. */
  readonly item: CleanupItem;
  /** Message of the error that prevented the removal. */
  readonly problem: string;
  /** What to do next, in one sentence; null if nothing is known. */
  readonly remedy: string | null;
}

/** The outcome of `cleanup`. */
export interface CleanupReport extends CleanupPlan {
  /** Objects that were removed, in that order. */
  readonly removed: readonly CleanupItem[];
  /** Objects that could not be removed, each with the error. */
  readonly failed: readonly CleanupFailure[];
}
