/**
 * Compares the rows of many tables in parallel.
 *
 * @module
 */
import { displayName, type EventSink, isTransient, runConcurrently } from "../core/internal.ts";
import { type Endpoint, ServerError, type Session } from "../postgres/internal.ts";
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

/** Options of {@linkcode compareTables}. */
export interface CompareTablesOptions {
  /** The database to compare. */
  readonly source: Endpoint;
  readonly target: Endpoint;
  /** In the order in which to start them. */
  readonly comparisons: readonly Comparison[];
  readonly method: DigestMethod;
  /** Differing rows to list per table. */
  readonly maxDiffs: number;
  readonly showValues: boolean;
  /** The subscription that follows the source; undefined if there is none. */
  readonly follower: Follower | undefined;
  /** Undefined unless rows are to be repaired. */
  readonly repairer: Repairer | undefined;
  /** Results of an interrupted run, to which this run appends. */
  readonly journal: VerifyJournal | undefined;
  /** Chunks compared in parallel, each with a session on each side. */
  readonly jobs: number;
  readonly signal: AbortSignal;
  readonly events: EventSink;
}

/** The result of {@linkcode compareTables}. */
export interface ComparedTables {
  readonly tables: readonly VerifiedTable[];
  readonly notChecked: readonly Omit<NotChecked, "database">[];
}

/**
 * Compares the rows of all tables. A table that a server refuses to read is reported as `unchecked`
 * with the reason.
 *
 * Requires `--allow-net` for both hosts.
 *
 * @throws ConnectionError when a server remains unreachable
 */
export async function compareTables(
  options: CompareTablesOptions,
): Promise<ComparedTables> {
  const results = new Map(
    options.comparisons.map((comparison) => [
      comparison,
      new TableResult(comparison, {
        maxDiffs: options.maxDiffs,
        isReplicated: options.follower?.follows(comparison) ?? true,
      }),
    ]),
  );
  const progress = new Progress(options);
  await using pool = new PairPool(options);
  // planning reads only a few blocks of each table, and runs ahead of the comparison
  async function* chunks(): AsyncGenerator<NumberedChunk> {
    for (const comparison of options.comparisons) {
      const { equal, chunks, since } = await cut(pool, comparison, options);
      const result = results.get(comparison)!;
      result.planned({ chunks: chunks.length, since });
      for (const { outcome, at } of equal.values()) result.resume(outcome, at);
      progress.skipped(comparison, equal.size / Math.max(1, chunks.length));
      if (equal.size > 0 && result.pending === 0) {
        await recheckLater(pool, result, options);
        progress.finished(comparison);
      }
      for (const [number, chunk] of chunks.entries()) {
        if (!equal.has(number)) yield { chunk, number, share: 1 / chunks.length };
      }
    }
  }
  const queue = chunks();
  const workers = Array.from({ length: options.jobs }, (_, worker) => worker);
  await runConcurrently(workers, async (_, signal) => {
    for (;;) {
      const next = await queue.next();
      if (next.done === true) return;
      const { chunk, number, share } = next.value;
      const { comparison } = chunk;
      const result = results.get(comparison)!;
      result.started();
      progress.started(comparison);
      if (result.failure === undefined) {
        const outcome = await pool.use(
          (pair) => compareChunk(pair, { ...options, chunk, result }),
          signal,
        );
        if (outcome !== undefined) {
          options.journal?.finish(options.source.database, { comparison, chunk: number, outcome });
        }
      }
      progress.compared(comparison, share);
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

/** Compares again the rows that changed on the source since the table was started. */
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
      result.recheck(outcome, gap);
    } catch (error) {
      if (!(error instanceof ServerError) || isTransient(error)) throw error;
      result.fail(error);
    }
  }, signal);
}

interface NumberedChunk {
  readonly chunk: Chunk;
  /** Position among the chunks of its table, from 0. */
  readonly number: number;
  /** Of its table. */
  readonly share: number;
}

/** Divides a table into chunks, or reuses the chunks of an earlier run. */
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
    // reading the table will report the same problem
    return [{ comparison, lower: undefined, upper: undefined, thresholds: [], slices: 1 }];
  }
}

/** Reports how many tables are done, and how many of the bytes that this run has to compare. */
class Progress {
  readonly #options: CompareTablesOptions;
  #done = 0;
  #bytes = 0;
  #totalBytes: number;

  constructor(options: CompareTablesOptions) {
    this.#options = options;
    this.#totalBytes = options.comparisons.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** A share of the table was found equal by an earlier run. */
  skipped({ bytes }: Comparison, share: number): void {
    this.#totalBytes -= bytes * share;
  }

  compared({ bytes }: Comparison, share: number): void {
    this.#bytes += bytes * share;
  }

  started(comparison: Comparison): void {
    this.#report(comparison);
  }

  finished(comparison: Comparison): void {
    this.#done++;
    this.#report(comparison);
  }

  #report(comparison: Comparison): void {
    const { source, comparisons, events } = this.#options;
    events({
      kind: "step-progress",
      step: "compare-rows",
      database: source.database,
      done: this.#done,
      total: comparisons.length,
      current: displayName(comparison),
      bytes: Math.round(this.#bytes),
      totalBytes: Math.round(this.#totalBytes),
    });
  }
}
