/**
 * Planner statistics of the side that will be opened.
 *
 * @module
 */
import { tableKey, type TableName } from "../../core/internal.ts";
import { openSession } from "../../postgres/internal.ts";
import { readPublications } from "../../replication/internal.ts";
import {
  analyzeTables,
  type CopyExtent,
  describeStatistics,
  restoresStatistics,
  SourceStatistics,
  type StatisticsSummary,
} from "../../copy/internal.ts";
import type { RunContext } from "../shared/run.ts";
import type { CutoverDatabase } from "./read_cutover.ts";

/** The tables that are switched, and the streams that carry them. */
export interface RefreshedTables {
  readonly tables: readonly TableName[];
  readonly streams: readonly string[];
}

/** Tables analyzed at the same time. */
const jobs = 2;

/**
 * Restores the source's current statistics on a target of version 18 or later; tables that cannot
 * have them are analyzed. Failures are warnings.
 *
 * @returns undefined for older targets, whose autovacuum collects statistics
 */
export async function refreshStatistics(
  { source, target }: Pick<CutoverDatabase, "source" | "target">,
  { tables, streams, events, signal }: RefreshedTables & RunContext,
): Promise<StatisticsSummary | undefined> {
  const start = performance.now();
  {
    await using session = await openSession(target, { signal });
    if (session.majorVersion < restoresStatistics) return undefined;
  }
  const database = source.database;
  events({ kind: "step-started", step: "analyze", database });
  await using carrier = new SourceStatistics({
    source,
    target,
    extent: await extentOfStreams({ source, signal, tables, streams }),
    snapshot: undefined,
    signal,
    events,
  });
  await analyzeTables({
    ...{ target, jobs, signal, events, database },
    done: new Set(),
    only: new Set(tables.map(tableKey)),
    source: carrier,
  });
  const { summary } = carrier;
  events({
    kind: "step-finished",
    step: "analyze",
    database,
    ms: performance.now() - start,
    summary: describeStatistics(summary),
  });
  return summary;
}

/** A stream's record has its rules, but not which tables a predicate filters. */
async function extentOfStreams(
  { source, signal, tables, streams }:
    & RefreshedTables
    & Pick<CutoverDatabase, "source">
    & Pick<RunContext, "signal">,
): Promise<CopyExtent> {
  await using session = await openSession(source, { signal });
  const words = (await readPublications(session)).filter(({ name }) => streams.includes(name))
    .flatMap(({ scopeComment }) => scopeComment?.words ?? []);
  const filters = words.some((word) => !/^(?:only|without) |: structure only$/s.test(word));
  return { complete: new Set(filters ? [] : tables.map(tableKey)), hasRules: words.length > 0 };
}
