/**
 * The result for one table, accumulated chunk by chunk.
 *
 * @module
 */
import type { ServerError } from "../postgres/internal.ts";
import { formatLsn, type Lsn, plural } from "../core/internal.ts";
import type { Comparison } from "./plan/plan_comparisons.ts";
import type { DigestMethod, RowDifference, Verdict, VerifiedTable } from "./report/report.ts";
import type { Cell } from "./scan/scan.ts";

/** The outcome of comparing one chunk. */
export interface ChunkOutcome {
  /** How rows are hashed. */
  readonly method: DigestMethod;
  /** The source. */
  readonly source: Cell;
  /** The target. */
  readonly target: Cell;
  /** The source's WAL position before the chunk was read. */
  readonly asOf: Lsn | undefined;
  /** What differs. */
  readonly differences: readonly RowDifference[];
  /** Whether more rows differ than are listed. */
  readonly more: boolean;
  /** Rows that differed at first and became equal. */
  readonly settled: number;
  /** Rows that changed during every attempt. */
  readonly unsettled: number;
  /** Rows repaired. */
  readonly repaired: number;
  /** Ids of the rows listed; absent for an outcome from the journal. */
  readonly listed?: readonly string[];
  /** Why repair stopped. */
  readonly repairFailure: string | undefined;
}

/** Accumulates the outcomes of a table's chunks. */
export class TableResult {
  readonly comparison: Comparison;
  /** Ids of the rows already listed. */
  readonly listed: Set<string> = new Set();
  readonly #hint: string | undefined;
  #gap: string | undefined;
  #failure: string | undefined;
  #since: string | undefined;
  #pending = 0;
  readonly #maxDiffs: number;
  readonly #differences: RowDifference[] = [];
  readonly #reasons = new Set<string>();
  #startedAt: number | undefined;
  #chunks = 0;
  #ms = 0;
  #method: DigestMethod | undefined;
  #source: Cell = { rows: 0, sum: 0n };
  #target: Cell = { rows: 0, sum: 0n };
  #asOf: Lsn | undefined;
  #more = false;
  #settled = 0;
  #unsettled = 0;
  #repaired = 0;
  #resumedChunks = 0;
  #resumedSince: string | undefined;

  constructor(
    comparison: Comparison,
    { maxDiffs, isReplicated }: {
      readonly maxDiffs: number;
      /** False if a replicated database lacks the table. */
      readonly isReplicated: boolean;
    },
  ) {
    this.comparison = comparison;
    this.#maxDiffs = maxDiffs;
    if (isReplicated) return;
    this.#hint = "it is not replicated";
    this.#gap = "it is not replicated (unlogged, or in no enabled subscription): " +
      "compared as of one point in time; later changes on the source will not arrive";
  }

  /** Chunks not yet compared. */
  get pending(): number {
    return this.#pending;
  }

  /** Why the table cannot be read. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** The source's snapshot before any of it was read; undefined if the table is not replicated. */
  get since(): string | undefined {
    return this.#since;
  }

  /** What the comparison cannot rule out. */
  get gap(): string | undefined {
    return this.#gap;
  }

  /** Records into how many chunks the table is cut, and before which snapshot that was. */
  planned(
    { chunks, since }: { readonly chunks: number; readonly since: string | undefined },
  ): void {
    this.#pending = chunks;
    this.#since = since;
  }

  /** Records that a server refuses to read the table. */
  fail(error: ServerError): void {
    this.#failure = `${error.side}: ${error.message}`;
  }

  /** Adds the rows that changed while the table was read, and what that cannot rule out. */
  recheck(outcome: ChunkOutcome, gap: string | undefined): void {
    this.add(outcome);
    this.#gap = gap;
  }

  /** How many more differences may be listed. */
  get room(): number {
    return Math.max(0, this.#maxDiffs - this.#differences.length);
  }

  get method(): DigestMethod | undefined {
    return this.#method;
  }

  started(): void {
    this.#startedAt ??= performance.now();
  }

  /** Records the end of a chunk; returns true for the last one. */
  finished(): boolean {
    this.#ms = performance.now() - (this.#startedAt ?? performance.now());
    return --this.#pending === 0;
  }

  /**
   * Whether a row may have moved between chunks unnoticed, since they were read at different times.
   */
  get mayHaveMissed(): boolean {
    return this.#chunks > 1 ||
      this.#settled + this.#unsettled + this.#differences.length + this.#repaired > 0;
  }

  /** Adds the outcome of a chunk compared by an earlier run. */
  resume(outcome: ChunkOutcome, at: string): void {
    this.#pending--;
    this.add(outcome);
    this.#resumedChunks++;
    if (this.#resumedSince === undefined || at < this.#resumedSince) this.#resumedSince = at;
  }

  add(outcome: ChunkOutcome): void {
    this.#chunks++;
    for (const id of outcome.listed ?? []) this.listed.add(id);
    this.#method = this.#method === "columns" ? "columns" : outcome.method;
    this.#source = plus(this.#source, outcome.source);
    this.#target = plus(this.#target, outcome.target);
    if (outcome.asOf !== undefined && (this.#asOf === undefined || outcome.asOf < this.#asOf)) {
      this.#asOf = outcome.asOf;
    }
    const room = this.room;
    this.#differences.push(...outcome.differences.slice(0, room));
    if (outcome.more || outcome.differences.length > room) this.#more = true;
    this.#settled += outcome.settled;
    this.#unsettled += outcome.unsettled;
    this.#repaired += outcome.repaired;
    if (outcome.repairFailure !== undefined) this.#reasons.add(outcome.repairFailure);
  }

  report(): VerifiedTable {
    const { schema, name, kind, bytes, predicate } = this.comparison;
    const verdict = this.#verdict();
    const reason = this.#reason(verdict);
    return {
      schema,
      name,
      kind,
      verdict,
      ...(reason === "" ? {} : { reason }),
      ...(this.#failure === undefined
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
      ...(this.#asOf === undefined ? {} : { asOf: formatLsn(this.#asOf) }),
      settledRows: this.#settled,
      differences: this.#differences,
      more: this.#more,
      ...(this.#resumedSince === undefined
        ? {}
        : { resumed: { chunks: this.#resumedChunks, since: this.#resumedSince } }),
      ...(this.#repaired > 0 ? { repairedRows: this.#repaired } : {}),
    };
  }

  #verdict(): Verdict {
    const differs = this.#differences.length > 0 || this.#more ||
      this.comparison.columnProblem !== undefined;
    if (differs) return "different";
    return this.#failure !== undefined || this.#unsettled > 0 ? "unchecked" : "equal";
  }

  #reason(verdict: Verdict): string {
    return [
      this.#failure,
      this.comparison.columnProblem,
      ...this.#reasons,
      this.#unsettled > 0
        ? `${plural(this.#unsettled, "row")} changed during every attempt to compare ${
          this.#unsettled === 1 ? "it" : "them"
        }`
        : undefined,
      verdict === "equal" ? undefined : this.#hint,
    ].filter((each) => each !== undefined).join("; ");
  }
}

function plus(a: Cell, b: Cell): Cell {
  return { rows: a.rows + b.rows, sum: a.sum + b.sum };
}
