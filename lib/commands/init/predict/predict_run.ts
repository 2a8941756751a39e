/**
 * Predicts the duration of each step of a run. Costs are measured once, between the servers and
 * with the largest table, and applied to every database.
 *
 * @module
 */
import { tableKey } from "../../../core/internal.ts";
import { measureRoundTrip, withDatabase } from "../../../postgres/internal.ts";
import type { StepPrediction } from "../../shared/report.ts";
import type { InitOptions } from "../../shared/run.ts";
import type { ServerPair } from "../../shared/server_pair.ts";
import { type CopyCosts, usualCosts } from "./costs.ts";
import { measureCosts, minSampledBytes, type ProbeSample } from "./measure_costs.ts";
import { type PredictedWork, predictGlobals, predictSteps } from "./predict_steps.ts";

/** How the databases will be copied. */
export interface PredictRunOptions {
  readonly options: Pick<
    InitOptions,
    "source" | "copy" | "indexJobs" | "prediction"
  >;
  /** Sessions on both servers; the target's is in an existing database. */
  readonly sides: ServerPair;
  readonly signal: AbortSignal;
}

/**
 * Predicts every step of a run.
 *
 * @returns undefined if nothing can be measured on the target
 */
export async function predictRun(
  works: readonly PredictedWork[],
  { options, sides, signal }: PredictRunOptions,
): Promise<readonly StepPrediction[] | undefined> {
  const bytesOf = ({ parts }: PredictedWork) => parts.reduce((sum, { bytes }) => sum + bytes, 0);
  const [largest] = works.toSorted((a, b) => bytesOf(b) - bytesOf(a));
  if (largest === undefined) return undefined;
  const { source, indexJobs, copy: { jobs, maxBytesPerSecond } } = options;
  const isSmall = bytesOf(largest) < minSampledBytes;
  const tables = works.reduce((sum, work) => sum + work.tables, 0);
  const costs = options.prediction === "alongside" && isSmall && tables <= maxUnmeasuredTables
    ? await readCosts(sides)
    : await measureCosts({
      source: withDatabase(source, largest.database),
      target: sides.target.endpoint,
      sample: isSmall ? undefined : sampleOf(largest),
      totalBytes: bytesOf(largest),
      jobs,
      signal,
    });
  if (costs === undefined) return undefined;
  const how = { costs, jobs, indexJobs, maxBytesPerSecond };
  return [
    predictGlobals(largest, how),
    ...works.flatMap((work) => predictSteps(work, how)),
  ];
}

/**
 * A small run of no more tables than this is over before a measurement next to it has been
 * worthwhile.
 */
const maxUnmeasuredTables = 100;

/** The usual costs, at the distance of these servers. */
async function readCosts({ source, target }: ServerPair): Promise<CopyCosts> {
  const [sourceRoundTripMs, targetRoundTripMs] = await Promise.all([
    measureRoundTrip(source),
    measureRoundTrip(target),
  ]);
  const sessionMs = usualCosts.sessionMs + 4 * targetRoundTripMs;
  return { ...usualCosts, sourceRoundTripMs, targetRoundTripMs, sessionMs };
}

/** The largest table, with its largest index that can be built from its columns. */
function sampleOf({ parts, facts }: PredictedWork): ProbeSample | undefined {
  const [part] = parts.filter(({ table }) => table.planningHazard === undefined).toSorted((a, b) =>
    b.table.bytes - a.table.bytes
  );
  if (part === undefined) return undefined;
  const { table, format } = part;
  const key = tableKey(table);
  const live = facts.tables.find((each) => tableKey(each.table) === key);
  const [index] = facts.indexes
    .filter(({ table, columns }) => columns !== undefined && tableKey(table) === key)
    .toSorted((a, b) => b.bytes - a.bytes);
  return { table, format, liveBytes: live?.liveBytes ?? table.bytes, index };
}
