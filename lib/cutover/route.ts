/**
 * One database of a switch, and its direction.
 *
 * @module
 */
import type { TableName } from "../core/internal.ts";
import type { Endpoint } from "../postgres/internal.ts";
import type { SideRecord, SideRecords } from "./model.ts";
import type { CutoverScope } from "./scope.ts";

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
  /** Tables that `prepare` has recorded, and that exist on neither side any longer. */
  readonly gone: readonly TableName[];
  /** The record of the side in use. */
  readonly fromRecord: SideRecord;
  /** The record of the side that will be opened. */
  readonly toRecord: SideRecord;
}

/**
 * The route of a prepared database in one direction.
 *
 * @param database `scope`: its tables as they are now; by default as they were recorded
 */
export function routeBetween(
  { source, target, records, scope }: {
    readonly source: Endpoint;
    readonly target: Endpoint;
    readonly records: SideRecords;
    readonly scope?: CutoverScope;
  },
  direction: "run" | "rollback",
): DatabaseRoute {
  if (records.source === undefined || records.target === undefined) {
    throw new Error("the database is not prepared");
  }
  const { forward, back } = records.source.details;
  const { tables, gone } = scope ?? { tables: records.source.details.tables, gone: [] };
  const backward = back === null ? [] : [back];
  return direction === "run"
    ? {
      from: source,
      to: target,
      out: forward,
      back: backward,
      ...{ tables, gone },
      fromRecord: records.source,
      toRecord: records.target,
    }
    : {
      from: target,
      to: source,
      out: backward,
      back: forward,
      ...{ tables, gone },
      fromRecord: records.target,
      toRecord: records.source,
    };
}

/** The database's name on the source, by which reports name it. */
export function nameOnSource({ from, to }: DatabaseRoute): string {
  return from.side === "source" ? from.database : to.database;
}

/** The generation of the record that closes `from`. Pure. */
export function nextGeneration(
  { fromRecord, toRecord }: Pick<DatabaseRoute, "fromRecord" | "toRecord">,
): number {
  return Math.max(fromRecord.generation, toRecord.generation) + 1;
}
