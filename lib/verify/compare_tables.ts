/**
 * The rows of many tables on both sides at once.
 *
 * @module
 */
import { displayName, type EventSink, runConcurrently } from "../core/mod.ts";
import {
  type Endpoint,
  isTransient,
  openSession,
  retry,
  ServerError,
  type Session,
} from "../postgres/mod.ts";
import { cutIntoChunks } from "./chunks.ts";
import type { Comparison } from "./plan.ts";
import type { DigestMethod, Verdict, VerifiedTable } from "./report.ts";
import { type Cell, type Chunk, differingCells, scan, scanSettings, total } from "./scan.ts";

/** What is compared, where, and who is told. */
export interface CompareTablesOptions {
  /** On the database. */
  readonly source: Endpoint;
  readonly target: Endpoint;
  /** In the order in which they are to be begun. */
  readonly comparisons: readonly Comparison[];
  readonly method: DigestMethod;
  /** Chunks compared at once: sessions on each side. */
  readonly jobs: number;
  readonly signal: AbortSignal;
  readonly events: EventSink;
}

/** Errors of a row whose form is longer than a value may be: 1 GB. */
const tooLong: ReadonlySet<string> = new Set(["54000", "53200", "XX000"]);

/** A session on each side. */
export interface SessionPair {
  readonly source: Session;
  readonly target: Session;
}

/**
 * Compares the rows of all tables. A table that a server refuses to read comes out as `unchecked`, with the reason.
 *
 * Requires `--allow-net` for both hosts.
 *
 * @throws ConnectionError when a server stays away
 */
export async function compareTables(
  options: CompareTablesOptions,
): Promise<readonly VerifiedTable[]> {
  const results = new Map(
    options.comparisons.map((comparison) => [comparison, new TableResult(comparison)]),
  );
  const progress = new Progress(options);
  await using pool = new PairPool(options);
  // planning needs a few blocks of each table, and goes ahead of reading
  async function* chunks(): AsyncGenerator<Chunk> {
    for (const comparison of options.comparisons) {
      const cut = await pool.use((pair) => cutOrWhole(pair.source, comparison), options.signal);
      results.get(comparison)!.pending = cut.length;
      yield* cut;
    }
  }
  const queue = chunks();
  const lanes = Array.from({ length: options.jobs }, (_, lane) => lane);
  await runConcurrently(lanes, async (_, signal) => {
    for (;;) {
      const next = await queue.next();
      if (next.done === true) return;
      const chunk = next.value;
      const result = results.get(chunk.comparison)!;
      result.started();
      progress.begins(chunk.comparison);
      await pool.use(
        (pair) => compareChunk(pair, { chunk, result, method: options.method }),
        signal,
      );
      if (result.finished()) progress.finished(result.comparison);
    }
  }, { limit: options.jobs, signal: options.signal });
  return [...results.values()].map((result) => result.report());
}

async function cutOrWhole(session: Session, comparison: Comparison): Promise<readonly Chunk[]> {
  try {
    return await cutIntoChunks(session, comparison);
  } catch (error) {
    if (!(error instanceof ServerError) || isTransient(error)) throw error;
    // whatever it is, reading the table will tell it
    return [{ comparison, lower: undefined, upper: undefined, thresholds: [], slices: 1 }];
  }
}

interface ChunkWork {
  readonly chunk: Chunk;
  readonly result: TableResult;
  readonly method: DigestMethod;
}

async function compareChunk(pair: SessionPair, work: ChunkWork): Promise<void> {
  const { chunk, result, method } = work;
  if (result.failure !== undefined) return;
  const read = (side: "source" | "target") => scan(pair[side], { chunk, side, method });
  const [source, target] = await Promise.allSettled([read("source"), read("target")]);
  for (const each of [source, target]) {
    if (each.status === "fulfilled") continue;
    const error = each.reason;
    if (!(error instanceof ServerError) || isTransient(error)) throw error;
    if (tooLong.has(error.sqlState) && method !== "columns") {
      return await compareChunk(pair, { ...work, method: "columns" });
    }
    result.failure = `${error.side}: ${error.message}`;
    return;
  }
  if (source.status === "rejected" || target.status === "rejected") return;
  result.add({
    method,
    source: total(source.value),
    target: total(target.value),
    differing: differingCells(source.value, target.value),
  });
}

/** What has been found out about a table so far. */
class TableResult {
  readonly comparison: Comparison;
  /** Chunks that are yet to be compared. */
  pending = 0;
  /** Why it cannot be read. */
  failure: string | undefined;
  #startedAt: number | undefined;
  #ms = 0;
  #method: DigestMethod | undefined;
  #source: Cell = { rows: 0, sum: 0n };
  #target: Cell = { rows: 0, sum: 0n };
  #differs = false;

  constructor(comparison: Comparison) {
    this.comparison = comparison;
  }

  started(): void {
    this.#startedAt ??= performance.now();
  }

  /** Notes the end of a chunk; true when it was the last one. */
  finished(): boolean {
    this.#ms = performance.now() - (this.#startedAt ?? performance.now());
    return --this.pending === 0;
  }

  add({ method, source, target, differing }: {
    readonly method: DigestMethod;
    readonly source: Cell;
    readonly target: Cell;
    readonly differing: readonly number[];
  }): void {
    this.#method = this.#method === "columns" ? "columns" : method;
    this.#source = plus(this.#source, source);
    this.#target = plus(this.#target, target);
    if (differing.length > 0) this.#differs = true;
  }

  report(): VerifiedTable {
    const { schema, name, kind, bytes, predicate, columnProblem } = this.comparison;
    const verdict: Verdict = this.#differs || columnProblem !== undefined
      ? "different"
      : this.failure !== undefined
      ? "unchecked"
      : "equal";
    const reason = this.failure ?? columnProblem;
    return {
      schema,
      name,
      kind,
      verdict,
      ...(reason === undefined ? {} : { reason }),
      ...(this.failure === undefined
        ? {
          sourceRows: this.#source.rows,
          targetRows: this.#target.rows,
          digest: BigInt.asUintN(128, this.#source.sum).toString(16).padStart(32, "0"),
        }
        : {}),
      ...(this.#method === undefined ? {} : { method: this.#method }),
      ...(predicate === undefined ? {} : { predicate }),
      bytes,
      ms: this.#ms,
      settledRows: 0,
      differences: [],
      more: this.#differs,
    };
  }
}

function plus(a: Cell, b: Cell): Cell {
  return { rows: a.rows + b.rows, sum: a.sum + b.sum };
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

/** Session pairs that are used again; one that broke is replaced, and what it was to do is done again: it only reads. */
export class PairPool implements AsyncDisposable {
  readonly #options: Pick<CompareTablesOptions, "source" | "target">;
  readonly #idle: SessionPair[] = [];

  constructor(options: Pick<CompareTablesOptions, "source" | "target">) {
    this.#options = options;
  }

  /** Lends a pair for work that may be repeated. */
  use<Result>(work: (pair: SessionPair) => Promise<Result>, signal: AbortSignal): Promise<Result> {
    return retry(async () => {
      const pair = this.#idle.pop() ?? await this.#open(signal);
      let result: Result;
      try {
        result = await work(pair);
      } catch (error) {
        await close(pair);
        throw error;
      }
      this.#idle.push(pair);
      return result;
    }, { signal });
  }

  async #open(signal: AbortSignal): Promise<SessionPair> {
    const open = (endpoint: Endpoint) => openSession(endpoint, { signal, settings: scanSettings });
    const [source, target] = await Promise.allSettled([
      open(this.#options.source),
      open(this.#options.target),
    ]);
    if (source.status === "fulfilled" && target.status === "fulfilled") {
      return { source: source.value, target: target.value };
    }
    if (source.status === "fulfilled") await source.value.close();
    if (target.status === "fulfilled") await target.value.close();
    throw source.status === "rejected" ? source.reason : (target as PromiseRejectedResult).reason;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#idle.map(close));
  }
}

async function close({ source, target }: SessionPair): Promise<void> {
  await Promise.all([source.close(), target.close()]);
}
