/**
 * One database of a switch, and its direction.
 *
 * @module
 */
import type { TableName } from "../core/internal.ts";
import type { Endpoint } from "../postgres/internal.ts";
import type { SideRecord } from "./model.ts";

/** One database and its direction. */
export interface DatabaseRoute {
  /** The database in use, which will be closed. */
  readonly from: Endpoint;
  /** The database that will be opened. */
  readonly to: Endpoint;
  /** Streams from `from` to `to`. */
  readonly out: readonly string[];
  /** Streams from `to` to `from`; empty without a way back. */
  readonly back: readonly string[];
  /** Tables with a fence on both sides. */
  readonly tables: readonly TableName[];
  /** The record of the side in use. */
  readonly fromRecord: SideRecord;
  /** The record of the side that will be opened. */
  readonly toRecord: SideRecord;
}

/** The database's name on the source, by which reports name it. */
export function nameOnSource({ from, to }: DatabaseRoute): string {
  return from.side === "source" ? from.database : to.database;
}
