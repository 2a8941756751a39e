/**
 * What a comparison has found equal so far, as lines that are appended to a file: one that is
 * interrupted goes on from there.
 *
 * @module
 */
import { formatLsn, parseLsn, tableKey } from "../core/internal.ts";
import type { Comparison } from "./plan/plan_comparisons.ts";
import type { DigestMethod } from "./report/report.ts";
import type { Chunk } from "./scan/scan.ts";
import type { ChunkOutcome } from "./table_result.ts";

/** How a chunk is bounded, without its table. */
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

/** A table as an earlier run has cut it, and the chunks that it has found equal. */
export interface KnownTable {
  readonly chunks: readonly Chunk[];
  /**
   * What was visible on the source before any of it was read; undefined where its changes do not
   * come.
   */
  readonly since: string | undefined;
  /** By number: what came of it, and when (ISO 8601). */
  readonly equal: ReadonlyMap<number, { readonly outcome: ChunkOutcome; readonly at: string }>;
}

/** Where lines come from and go to. */
export interface VerifyJournalOptions {
  /** What earlier runs of the same comparison have left; the last line may be cut off. */
  readonly text: string;
  readonly append: (line: string) => void;
  /** The moment. */
  readonly now: () => Date;
}

/** The journal of one run over any number of databases. Only chunks that are equal are in it. */
export class VerifyJournal {
  readonly #options: VerifyJournalOptions;
  readonly #known = new Map<
    string,
    { readonly line: TableLine; readonly equal: Map<number, ChunkLine> }
  >();

  constructor(options: VerifyJournalOptions) {
    this.#options = options;
    for (const text of options.text.split("\n")) {
      const line = parse(text);
      if (line?.kind === "table") this.#known.set(line.table, { line, equal: new Map() });
      else if (line?.kind === "chunk") this.#known.get(line.table)?.equal.set(line.chunk, line);
    }
  }

  /** What is known of a table that still looks the same. */
  find(database: string, comparison: Comparison): KnownTable | undefined {
    const known = this.#known.get(keyOf(database, comparison));
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

  /** Notes how a table is cut, before any of it is compared. */
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
      table: keyOf(database, comparison),
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

  /** Notes a chunk that is equal; nothing else is kept. */
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
      table: keyOf(database, comparison),
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

/** A line that was cut off by a crash says nothing. */
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

function keyOf(database: string, comparison: Comparison): string {
  return JSON.stringify([database, tableKey(comparison)]);
}

/** What must be the same for an old result to count. */
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
