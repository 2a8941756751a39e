/**
 * What a preflight knows of a database on both sides.
 *
 * @module
 */
import type { TableName } from "../../core/internal.ts";
import type { UnfinishedSwitch } from "../interrupted_switch.ts";
import type { OutsideKey } from "../outside_keys.ts";
import type { PrivilegeFacts } from "../privileges.ts";
import type { IncompleteStream } from "./incomplete_streams.ts";
import type { SideFacts } from "./side_facts.ts";
import type { StreamReading } from "./stream_reading.ts";

/** What a preflight is about. */
export interface PreflightFacts {
  readonly database: string;
  /** The side in use. */
  readonly from: SideFacts;
  /** The side that will be opened. */
  readonly to: SideFacts;
  readonly streams: readonly StreamReading[];
  /** Streams of the same direction that the cutover does not know. */
  readonly unprepared: readonly string[];
  /** Streams of the cutover of which nothing is left, as after a copy of all their tables. */
  readonly replaced: readonly string[];
  /** Streams between the databases that nothing applies. */
  readonly incomplete: readonly IncompleteStream[];
  /** A switch that has changed something and is running, or was interrupted. */
  readonly unfinished: UnfinishedSwitch | undefined;
  /** Tables with a fence, as recorded by `prepare`; before it, those that it would fence. */
  readonly tables: readonly TableName[];
  /** Tables that were fenced, and exist on neither side any longer. */
  readonly gone: readonly TableName[];
  /** Tables that the streams carry now, with the partitioned tables above them. */
  readonly carried: readonly TableName[];
  /** Differences in structure that lose changes or stop replication, in sentences. */
  readonly drift: readonly string[];
  /** Sequences of the side in use that the other side lacks. */
  readonly unmappedSequences: readonly TableName[];
  /** Tables of the side in use whose changes no stream carries. */
  readonly notCarried: readonly TableName[];
  /** Those of them that are partitions of tables which are replicated. */
  readonly partitionsNotCarried: readonly TableName[];
  /** Those of these that the other side lacks. */
  readonly partitionsAlone: readonly TableName[];
  /** Partitions of replicated tables that only the side has which will be opened. */
  readonly partitionsElsewhere: readonly TableName[];
  /** Those of {@linkcode notCarried} that `prepare` has reported; empty before it. */
  readonly leftOut: readonly TableName[];
  /** Foreign keys between tables in scope and tables that are left out. */
  readonly outsideKeys: readonly OutsideKey[];
  /** Whether a way back is wanted or exists. */
  readonly wayBack: boolean;
  /**
   * Streams that the switch starts, whose changes this tool applies and no process would: `sync`
   * does not run.
   */
  readonly unattended: readonly string[];
  /** What the roles may do; undefined after `prepare`. */
  readonly privileges: PrivilegeFacts | undefined;
  /** Large objects of the side in use, which no stream carries. */
  readonly largeObjects: { readonly count: number; readonly unreadable: number };
}
