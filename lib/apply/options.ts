/**
 * What applying changes takes, and what it reports.
 *
 * @module
 */
import type { EventSink, Lsn } from "../core/internal.ts";
import type { Endpoint } from "../postgres/internal.ts";

/** What applying changes takes. */
export interface ApplyChangesOptions {
  /** The published database. */
  readonly source: Endpoint;
  /** The database with the record of the stream. */
  readonly target: Endpoint;
  /** Name of the stream, its publication and its record. */
  readonly name: string;
  /** Ends the work; the same call resumes it. */
  readonly signal: AbortSignal;
  readonly events: EventSink;
  /** Called after each transaction on the target. */
  readonly onProgress?: ((progress: ApplyProgress) => void) | undefined;
}

/** How far an applier is. */
export interface ApplyProgress {
  /** Everything that the source committed before it is durable on the target. */
  readonly endLsn: Lsn;
  /** Transactions of the source applied since the call. */
  readonly transactions: number;
  /** Changes of rows applied since the call. */
  readonly changes: number;
}
