/**
 * An append-only log of the chunks found equal, from which an interrupted comparison resumes.
 *
 * @module
 */
import { formatLsn, parseLsn, tableKey } from "../core/internal.ts";
import type { Comparison } from "./plan/plan_comparisons.ts";
import type { DigestMethod } from "./report/report.ts";
import type { Chunk } from "./scan/scan.ts";
import type { ChunkOutcome } from "./table_result.ts";

/** A chunk without its table. */
export type ChunkBounds = Omit<Chunk, "comparison">;

interface TableLine {
  readonly kind: "table";
  readonly table: string;
  readonly shape: string;
  readonly since: string | null;
  readonly chunks: readonly {
    readonly lower: string | null;
    readonly upper: string | null;
    readonly thresholds: readonly string[];
    readonly slices: number;
  }[];
}

interface ChunkLine {
  readonly kind: "chunk";
  readonly table: string;
  readonly chunk: number;
  readonly rows: number;
  readonly sum: string;
  readonly method: DigestMethod;
  readonly settled: number;
  readonly asOf: string | null;
  readonly at: string;
}

type Line = TableLine | ChunkLine;

/** The chunks of a table in an earlier run, and which of them were equal. */
export interface KnownTable {
  /** The ranges that are known to be equal. */
  readonly chunks: readonly Chunk[];
  /** The source's snapshot before any of it was read; undefined if the table is not replicated. */
  readonly since: string | undefined;
  /** By number: the outcome, and its time (ISO 8601). */
  readonly equal: ReadonlyMap<number, { readonly outcome: ChunkOutcome; readonly at: string }>;
}

/** Options of {@linkcode VerifyJournal}. */
export interface VerifyJournalOptions {
  /** The log of earlier runs of the same comparison; the last line may be incomplete. */
  readonly text: string;
  /** Appends a line to the file. */
  readonly append: (line: string) => void;
  /** The clock. */
  readonly now: () => Date;
}

/** The journal of one run, covering any number of databases. It contains only equal chunks. */
export class VerifyJournal {
  readonly #options: VerifyJournalOptions;
  readonly #known = new Map<
    string,
    { readonly line: TableLine; readonly equal: Map<number, ChunkLine> }
  >();

  /** Use the functions that return one. */
  constructor(options: VerifyJournalOptions) {
    this.#options = options;
    for (const text of options.text.split("\n")) {
      const line = parse(text);
      if (line?.kind === "table") this.#known.set(line.table, { line, equal: new Map() });
      else if (line?.kind === "chunk") this.#known.get(line.table)?.equal.set(line.chunk, line);
    }
  }

  /** The results for a table, unless its definition has changed. */
  find(database: string, comparison: Comparison): KnownTable | undefined {
    const known = this.#known.get(comparisonKey(database, comparison));
    if (known === undefined || known.line.shape !== shapeOf(comparison)) return undefined;
    return {
      since: known.line.since ?? undefined,
      chunks: known.line.chunks.map(({ lower, upper, ...rest }) => ({
        comparison,
        ...rest,
        lower: lower ?? undefined,
        upper: upper ?? undefined,
      })),
      equal: new Map(
        [...known.equal].map((
          [number, line],
        ) => [number, { outcome: outcomeOf(line), at: line.at }]),
      ),
    };
  }

  /** Records the chunks of a table before any of them is compared. */
  begin(
    database: string,
    { comparison, chunks, since }: {
      readonly comparison: Comparison;
      readonly chunks: readonly ChunkBounds[];
      readonly since: string | undefined;
    },
  ): void {
    this.#append({
      kind: "table",
      table: comparisonKey(database, comparison),
      shape: shapeOf(comparison),
      since: since ?? null,
      chunks: chunks.map(({ lower, upper, thresholds, slices }) => ({
        lower: lower ?? null,
        upper: upper ?? null,
        thresholds,
        slices,
      })),
    });
  }

  /** Records a chunk if it is equal. */
  finish(
    database: string,
    { comparison, chunk, outcome }: {
      readonly comparison: Comparison;
      readonly chunk: number;
      readonly outcome: ChunkOutcome;
    },
  ): void {
    if (!isEqual(outcome)) return;
    this.#append({
      kind: "chunk",
      table: comparisonKey(database, comparison),
      chunk,
      rows: outcome.source.rows,
      sum: String(outcome.source.sum),
      method: outcome.method,
      settled: outcome.settled,
      asOf: outcome.asOf === undefined ? null : formatLsn(outcome.asOf),
      at: this.#options.now().toISOString(),
    });
  }

  #append(line: Line): void {
    this.#options.append(`${JSON.stringify(line)}\n`);
  }
}

/** Ignores a line truncated by a crash. */
function parse(text: string): Line | undefined {
  try {
    return text === "" ? undefined : JSON.parse(text) as Line;
  } catch {
    return undefined;
  }
}

function isEqual({ differences, more, unsettled, repaired }: ChunkOutcome): boolean {
  return differences.length === 0 && !more && unsettled === 0 && repaired === 0;
}

function comparisonKey(database: string, comparison: Comparison): string {
  return JSON.stringify([database, tableKey(comparison)]);
}

/** What must be unchanged for an earlier result to be valid. */
function shapeOf({ columns, key, predicate, source, target }: Comparison): string {
  return JSON.stringify({ columns, key: key?.map(({ name }) => name), predicate, source, target });
}

function outcomeOf({ rows, sum, method, settled, asOf }: ChunkLine): ChunkOutcome {
  const cell = { rows, sum: BigInt(sum) };
  return {
    method,
    source: cell,
    target: cell,
    asOf: asOf === null ? undefined : parseLsn(asOf),
    differences: [],
    more: false,
    settled,
    unsettled: 0,
    repaired: 0,
    repairFailure: undefined,
  };
}
