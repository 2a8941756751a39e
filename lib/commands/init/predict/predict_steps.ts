/**
 * Computes the duration of each step of a database's copy from the amount of work and its costs.
 * Pure.
 *
 * @module
 */
import { tableKey, type TableName } from "../../../core/internal.ts";
import type { WorkFacts } from "../../../catalog/internal.ts";
import type { CopyPart, StatisticsSummary } from "../../../copy/internal.ts";
import type { StepPrediction } from "../../shared/report.ts";
import type { CopyCosts } from "./costs.ts";
import { type Piece, simulateFill } from "./simulate_fill.ts";

/** A database to copy. */
export interface PredictedWork {
  readonly database: string;
  /** The parts left to copy, in the order in which they are started. */
  readonly parts: readonly CopyPart[];
  /** The number of tables to create, with or without rows. */
  readonly tables: number;
  readonly facts: WorkFacts;
  readonly statistics: StatisticsSummary;
  /** Whether an earlier attempt has created the schema. */
  readonly resumed: boolean;
  readonly largeObjects: number;
  readonly embeddedDump: boolean;
}

/** Costs, and how the database is copied. */
export interface PredictOptions {
  readonly costs: CopyCosts;
  readonly jobs: number;
  readonly indexJobs: number;
  readonly maxBytesPerSecond: number | undefined;
}

/** ANALYZE samples 30,000 rows, so it takes no longer for tables larger than this. */
const analyzedBytes = 4 * 1024 * 1024;
/** Validating a foreign key is this many times as fast as copying, because it writes nothing. */
const foreignKeySpeed = 4;
/** Round trips of each step for opening sessions, queries and statements. */
const roundTripsOf = {
  globals: 30,
  database: 12,
  schema: 12,
  foreignKeys: 14,
  sequences: 8,
  finish: 20,
};
const dumpRoundTrips = { native: 60, embedded: 130 };

/** Predicts the step for roles and settings, which occurs once per run. */
export function predictGlobals(
  { facts }: Pick<PredictedWork, "facts">,
  { costs }: Pick<PredictOptions, "costs">,
): StepPrediction {
  const ms = roundTripsOf.globals * costs.targetRoundTripMs + 2 * costs.sessionMs +
    costs.programMs + facts.roles * 2 * costs.statementMs;
  return { step: "globals", ms };
}

/** Predicts the steps of a database that take a noticeable time. */
export function predictSteps(
  work: PredictedWork,
  options: PredictOptions,
): readonly StepPrediction[] {
  const { costs, indexJobs } = options;
  const { database, facts, tables, resumed } = work;
  const { targetRoundTripMs: roundTrip, sourceRoundTripMs, sessionMs, statementMs } = costs;
  const step = (name: StepPrediction["step"], ms: number): StepPrediction => ({
    step: name,
    database,
    ms,
  });
  const fill = simulateFill({ ...fillOf(work, costs), ...options, scaling: costs.scaling });
  const floorMs = options.maxBytesPerSecond === undefined
    ? 0
    : work.parts.reduce((sum, { bytes }) => sum + bytes, 0) / options.maxBytesPerSecond * 1000;
  const keys = facts.foreignKeys;
  const checkMs = keys.reduce((sum, { bytes }) => sum + bytes, 0) /
    (costs.rowBytesPerMs * foreignKeySpeed);
  const dumpMs = work.embeddedDump
    ? costs.embeddedDumpMs + dumpRoundTrips.embedded * sourceRoundTripMs
    : costs.programMs + dumpRoundTrips.native * sourceRoundTripMs;
  return [
    step("dump", dumpMs + tables * costs.dumpTableMs),
    ...(resumed ? [] : [
      step("database", costs.databaseMs + roundTripsOf.database * roundTrip + sessionMs),
      step("schema", sessionMs + roundTripsOf.schema * roundTrip + tables * costs.tableMs),
    ]),
    step("data", Math.max(floorMs, 2 * sessionMs + fill.rowsMs)),
    ...(work.largeObjects === 0 ? [] : [
      step(
        "large-objects",
        2 * sessionMs + work.largeObjects * statementMs +
          facts.largeObjectBytes / costs.rowBytesPerMs,
      ),
    ]),
    step("indexes", sessionMs + Math.max(0, fill.allMs - fill.rowsMs)),
    step(
      "foreign-keys",
      keys.length === 0
        ? 0
        : sessionMs + roundTripsOf.foreignKeys * roundTrip + keys.length * 4 * statementMs +
          checkMs / Math.min(indexJobs, keys.length) ** costs.scaling,
    ),
    step(
      "sequences",
      sessionMs + roundTripsOf.sequences * roundTrip + facts.sequences * statementMs / 2,
    ),
    step(
      "finish-schema",
      3 * sessionMs + roundTripsOf.finish * roundTrip + facts.otherObjects * 2 * statementMs,
    ),
    ...(work.statistics.from === "none" ? [] : [
      step(
        "analyze",
        2 * sessionMs + facts.materializedViews * (costs.analyzeMs + roundTrip),
      ),
    ]),
  ];
}

/** Parts and the builds that follow them, in milliseconds of a single session. */
function fillOf(
  { parts, facts, statistics }: PredictedWork,
  costs: CopyCosts,
): { readonly parts: readonly Piece[]; readonly builds: readonly Piece[] } {
  const live = new Map(facts.tables.map(({ table, liveBytes }) => [tableKey(table), liveBytes]));
  const copied = new Set(parts.map(({ table }) => tableKey(table)));
  const tables = new Map(parts.map(({ table }) => [tableKey(table), table]));
  const analyzed = new Set(statistics.analyzed.map(tableKey));
  const isAnalyzed = (table: TableName) =>
    statistics.from === "analyze" || analyzed.has(tableKey(table));
  return {
    parts: parts.map(({ table, bytes }) => {
      // dead rows are skipped, which is fast
      const share = table.bytes === 0
        ? 1
        : Math.min(1, (live.get(tableKey(table)) ?? table.bytes) / table.bytes);
      const readMs = bytes * share / costs.rowBytesPerMs +
        bytes * (1 - share) / (costs.rowBytesPerMs * skipSpeed);
      return { table, ms: costs.partMs + readMs };
    }),
    builds: [
      ...facts.indexes.filter(({ table }) => copied.has(tableKey(table)))
        .map(({ table, bytes }) => ({
          table,
          ms: costs.indexMs + bytes / costs.indexBytesPerMs,
        })),
      ...(statistics.from === "none" ? [] : [...tables.values()].map((table) => ({
        table,
        ms: isAnalyzed(table)
          ? costs.analyzeMs + costs.analyzeLargeMs * Math.min(1, table.bytes / analyzedBytes)
          : costs.statementMs,
      }))),
    ],
  };
}

const skipSpeed = 8;
