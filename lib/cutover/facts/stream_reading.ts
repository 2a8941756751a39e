/**
 * What both sides show of a stream.
 *
 * @module
 */
import type { TableName } from "../../core/internal.ts";
import type { ApplierKind, StreamState } from "../../replication/internal.ts";

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
