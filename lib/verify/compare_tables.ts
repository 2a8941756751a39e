/**
 * The rows of many tables on both sides at once.
 *
 * @module
 */
import { displayName, type EventSink, runConcurrently } from "../core/internal.ts";
import { type Endpoint, isTransient, ServerError, type Session } from "../postgres/internal.ts";
import { cutIntoChunks } from "./scan/chunks.ts";
import { compareChunk } from "./compare_chunk.ts";
import type { Follower } from "./live/follower.ts";
import type { KnownTable, VerifyJournal } from "./journal.ts";
import type { Comparison } from "./plan/plan_comparisons.ts";
import type { Repairer } from "./repair/repairer.ts";
import type { DigestMethod, NotChecked, VerifiedTable } from "./report/report.ts";
import type { Chunk } from "./scan/scan.ts";
import { readVisibility } from "./live/changed_since.ts";
import { recheck } from "./recheck.ts";
import { PairPool } from "./scan/session_pair.ts";
import { TableResult } from "./table_result.ts";

/** What is compared, where, and who is told. */
export interface CompareTablesOptions {
  /** On the database. */
  readonly source: Endpoint;
  readonly target: Endpoint;
  /** In the order in which they are to be begun. */
  readonly comparisons: readonly Comparison[];
  readonly method: DigestMethod;
  /** Differing rows to list for each table. */
  readonly maxDiffs: number;
  readonly showValues: boolean;
  /** The target that follows the source; undefined where changes do not come. */
  readonly follower: Follower | undefined;
  /** Makes rows equal; undefined where nothing is to be repaired. */
  readonly repairer: Repairer | undefined;
  /** What an interrupted run has found equal, and where that is noted. */
  readonly journal: VerifyJournal | undefined;
  /** Chunks compared at once: sessions on each side. */
  readonly jobs: number;
  readonly signal: AbortSignal;
  readonly events: EventSink;
}

/** What came of it. */
export interface ComparedTables {
  readonly tables: readonly VerifiedTable[];
  readonly notChecked: readonly Omit<NotChecked, "database">[];
}

/**
 * Compares the rows of all tables. A table that a server refuses to read comes out as `unchecked`,
 * with the reason.
 *
 * Requires `--allow-net` for both hosts.
 *
 * @throws ConnectionError when a server stays away
 */
export async function compareTables(
  options: CompareTablesOptions,
): Promise<ComparedTables> {
  const results = new Map(
    options.comparisons.map((comparison) => [comparison, new TableResult(comparison, options)]),
  );
  for (const [comparison, result] of results) {
    if (options.follower?.follows(comparison) === false) {
      result.hint = "it is not replicated";
      result.gap = "it is not replicated (unlogged, or in no enabled subscription): " +
        "compared as it was, and what changes on the source does not come";
    }
  }
  const progress = new Progress(options);
  await using pool = new PairPool(options);
  // planning needs a few blocks of each table, and goes ahead of reading
  async function* chunks(): AsyncGenerator<NumberedChunk> {
    for (const comparison of options.comparisons) {
      const { equal, chunks, since } = await cut(pool, comparison, options);
      const result = results.get(comparison)!;
      result.since = since;
      result.pending = chunks.length;
      for (const { outcome, at } of equal.values()) result.resume(outcome, at);
      if (equal.size > 0 && result.pending === 0) {
        await recheckLater(pool, result, options);
        progress.finished(comparison);
      }
      for (const [number, chunk] of chunks.entries()) {
        if (!equal.has(number)) yield { chunk, number };
      }
    }
  }
  const queue = chunks();
  const lanes = Array.from({ length: options.jobs }, (_, lane) => lane);
  await runConcurrently(lanes, async (_, signal) => {
    for (;;) {
      const next = await queue.next();
      if (next.done === true) return;
      const { chunk, number } = next.value;
      const { comparison } = chunk;
      const result = results.get(comparison)!;
      result.started();
      progress.begins(comparison);
      if (result.failure === undefined) {
        const outcome = await pool.use(
          (pair) => compareChunk(pair, { ...options, chunk, result }),
          signal,
        );
        if (outcome !== undefined) {
          options.journal?.finish(options.source.database, { comparison, chunk: number, outcome });
        }
      }
      if (result.finished()) {
        await recheckLater(pool, result, options);
        progress.finished(comparison);
      }
    }
  }, { limit: options.jobs, signal: options.signal });
  return {
    tables: [...results.values()].map((result) => result.report()),
    notChecked: [...results].flatMap(([comparison, { gap }]) =>
      gap === undefined
        ? []
        : [{ what: `changes of ${displayName(comparison)}`, reason: gap, failed: false }]
    ),
  };
}

/** Compares once more what changed on the source since a table was begun. */
async function recheckLater(
  pool: PairPool,
  result: TableResult,
  options: CompareTablesOptions,
): Promise<void> {
  const { comparison, since } = result;
  const { follower, signal } = options;
  if (since === undefined || follower === undefined) return;
  if (result.failure !== undefined || !result.mayHaveMissed) return;
  const chunk = { comparison, lower: undefined, upper: undefined, thresholds: [], slices: 1 };
  await pool.use(async (pair) => {
    try {
      const { outcome, gap } = await recheck(pair, {
        ...options,
        method: result.method ?? options.method,
        follower,
        since,
        chunk,
        result,
      });
      result.add(outcome);
      result.gap = gap;
    } catch (error) {
      if (!(error instanceof ServerError) || isTransient(error)) throw error;
      result.failure = `${error.side}: ${error.message}`;
    }
  }, signal);
}

interface NumberedChunk {
  readonly chunk: Chunk;
  /** Of its table's chunks, from 0. */
  readonly number: number;
}

/** Cuts a table as an earlier run has cut it, or afresh. */
async function cut(
  pool: PairPool,
  comparison: Comparison,
  { journal, source: { database }, follower, signal }: CompareTablesOptions,
): Promise<KnownTable> {
  const known = journal?.find(database, comparison);
  const isFollowed = follower?.follows(comparison) === true;
  if (known !== undefined && (known.since !== undefined || !isFollowed)) return known;
  const since = isFollowed
    ? await pool.use((pair) => readVisibility(pair.source), signal)
    : undefined;
  const chunks = await pool.use((pair) => cutOrWhole(pair.source, comparison, follower), signal);
  journal?.begin(database, { comparison, chunks, since });
  return { chunks, since, equal: new Map() };
}

async function cutOrWhole(
  session: Session,
  comparison: Comparison,
  follower: Follower | undefined,
): Promise<readonly Chunk[]> {
  try {
    const isBusy = follower?.follows(comparison) === true;
    return await cutIntoChunks(session, comparison, { isBusy });
  } catch (error) {
    if (!(error instanceof ServerError) || isTransient(error)) throw error;
    // whatever it is, reading the table will tell it
    return [{ comparison, lower: undefined, upper: undefined, thresholds: [], slices: 1 }];
  }
}

/** Tells how many of the tables are done. */
class Progress {
  readonly #options: CompareTablesOptions;
  #done = 0;

  constructor(options: CompareTablesOptions) {
    this.#options = options;
  }

  begins(comparison: Comparison): void {
    this.#tell(comparison);
  }

  finished(comparison: Comparison): void {
    this.#done++;
    this.#tell(comparison);
  }

  #tell(comparison: Comparison): void {
    const { source, comparisons, events } = this.#options;
    events({
      kind: "step-progress",
      step: "compare-rows",
      database: source.database,
      done: this.#done,
      total: comparisons.length,
      current: displayName(comparison),
    });
  }
}
