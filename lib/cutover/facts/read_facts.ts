/**
 * Reads what the preflight checks. Only reads.
 *
 * @module
 */
import { tableKey, type TableName } from "../../core/internal.ts";
import type { FenceKind } from "../../config/internal.ts";
import {
  type EventTrigger,
  readUnsilencedEventTriggers,
  type Session,
} from "../../postgres/internal.ts";
import { summarizeLargeObjects } from "../../catalog/internal.ts";
import { readPublications } from "../../replication/internal.ts";
import type { UnfinishedSwitch } from "../interrupted_switch.ts";
import { readOutsideKeys } from "../outside_keys.ts";
import { readForwardStreams } from "../prepare.ts";
import { type PrivilegesInput, readPrivileges } from "../read_privileges.ts";
import { readIncompleteStreams } from "./incomplete_streams.ts";
import type { PreflightFacts } from "./preflight_facts.ts";
import { readSideFacts, type SideFactsInput } from "./read_side_facts.ts";
import { readCommonSequences, readUnmappedSequences } from "./sequence_scope.ts";
import type { SideFacts } from "./side_facts.ts";
import { readStreamReadings, type StreamReading } from "./stream_reading.ts";
import { readDrift } from "./structure_drift.ts";
import { readUncarriedTables } from "./uncarried_tables.ts";
import { readUnattended } from "./unattended_streams.ts";

/** What {@linkcode readPreflightFacts} takes. */
export interface FactsInput {
  /** A session on the side in use. */
  readonly from: Session;
  /** A session on the side that will be opened. */
  readonly to: Session;
  /** Streams from one to the other; undefined to find them. */
  readonly streams: readonly string[] | undefined;
  /** Tables with a fence; undefined before `prepare`. */
  readonly tables: readonly TableName[] | undefined;
  /** Tables that were fenced, and exist on neither side any longer; empty before `prepare`. */
  readonly gone: readonly TableName[];
  /** Tables that `prepare` has reported as not carried; empty before it. */
  readonly leftOut: readonly TableName[];
  /** Whether a way back is wanted or exists. */
  readonly wayBack: boolean;
  /** How the sides are closed; before `prepare`, as it was requested. */
  readonly fences: { readonly from: FenceKind; readonly to: FenceKind };
  /** Streams that a switch starts; empty before `prepare`. */
  readonly starting: readonly string[];
  /** How long to wait for the process that applies their changes, in milliseconds. */
  readonly attendanceMs: number;
  /** A switch that is running, or was interrupted; undefined before `prepare`. */
  readonly unfinished: UnfinishedSwitch | undefined;
  /** How `prepare` would create the way back; undefined after it. */
  readonly preparing: Pick<PrivilegesInput, "wayBack" | "probes"> | undefined;
  /** From which age on a transaction is worth a warning, in milliseconds. */
  readonly oldTransactionMs: number;
}

/** Reads both sides of one database. */
export async function readPreflightFacts(input: FactsInput): Promise<PreflightFacts> {
  const { from, to, gone, leftOut, unfinished, wayBack, preparing } = input;
  const forward = await readForwardStreams({ source: from, target: to });
  const names = input.streams ?? forward.names;
  const tables = input.tables ?? forward.tables;
  // alone in their sessions: a refused setting aborts the transaction for a moment
  const [eventsFrom, eventsTo] = await Promise.all([
    readUnsilencedEventTriggers(from),
    readUnsilencedEventTriggers(to),
  ]);
  const [sides, streams, drift, unmappedSequences, outsideKeys, uncarried] = await Promise.all([
    readBothSides(input, {
      tables,
      streams: [...names, ...input.starting],
      eventTriggers: { from: eventsFrom, to: eventsTo },
    }),
    readStreamReadings(names, { from, to }),
    readDrift(names, { from, to }),
    readUnmappedSequences({ from, to, streams: names, carried: forward.tables }),
    // those of the other side belong to the same tables
    readOutsideKeys(from, tables),
    readUncarriedTables(forward.tables, { from, to }),
  ]);
  return {
    ...sides,
    ...uncarried,
    database: from.endpoint.database,
    streams,
    incomplete: await readIncompleteStreams({ from, to }),
    unfinished,
    tables,
    gone,
    carried: forward.tables,
    unprepared: forward.names.filter((name) => !names.includes(name)),
    replaced: await findReplaced(streams, from),
    drift,
    unmappedSequences,
    leftOut,
    outsideKeys,
    wayBack,
    unattended: await readUnattended(from, input),
    privileges: preparing === undefined ? undefined : await readPrivileges({
      source: from,
      target: to,
      streams: names,
      tables,
      ...preparing,
    }),
    largeObjects: await summarizeLargeObjects(from),
  };
}

/** Streams of which nothing exists on either side. */
async function findReplaced(
  streams: readonly StreamReading[],
  from: Session,
): Promise<readonly string[]> {
  const published = new Set((await readPublications(from)).map(({ name }) => name));
  return streams.filter(({ name, kind, lagBytes }) =>
    kind === undefined && lagBytes === undefined && !published.has(name)
  ).map(({ name }) => name);
}

/** Both sides; their `sequences` are those that exist on both. */
async function readBothSides(
  { from, to, fences, oldTransactionMs }: FactsInput,
  { tables, streams, eventTriggers }: Pick<SideFactsInput, "tables" | "streams"> & {
    readonly eventTriggers: {
      readonly from: readonly EventTrigger[];
      readonly to: readonly EventTrigger[];
    };
  },
): Promise<Pick<PreflightFacts, "from" | "to">> {
  const shared = { tables, oldTransactionMs, streams };
  const [onFrom, onTo, common] = await Promise.all([
    readSideFacts(from, { ...shared, fence: fences.from, eventTriggers: eventTriggers.from }),
    readSideFacts(to, { ...shared, fence: fences.to, eventTriggers: eventTriggers.to }),
    readCommonSequences(from, to),
  ]);
  const withCommon = (side: SideFacts): SideFacts => ({
    ...side,
    sequences: side.sequences.filter((sequence) => common.has(tableKey(sequence))),
  });
  return { from: withCommon(onFrom), to: withCommon(onTo) };
}
