/**
 * Computes the duration of copying rows and building indexes and statistics in several concurrent
 * sessions. Pure.
 *
 * @module
 */
import { tableKey, type TableName } from "../../../core/internal.ts";

/** Work of one session, with its duration if nothing else runs. */
export interface Piece {
  readonly table: TableName;
  readonly ms: number;
}

/** The work, and the number of sessions. */
export interface FillWork {
  /** Parts of tables, in the order in which they are started. */
  readonly parts: readonly Piece[];
  /** Indexes, keys and statistics, which start once all parts of their table are copied. */
  readonly builds: readonly Piece[];
  readonly jobs: number;
  /** Sessions that build while rows are copied; afterwards the copying sessions build too. */
  readonly indexJobs: number;
  /**
   * How well concurrent sessions scale: `n` of them are `n ** scaling` times as fast as one. 1:
   * sessions do not slow each other down; 0: a single session already uses all of the servers'
   * capacity.
   */
  readonly scaling: number;
}

/** When all rows are copied, and when everything is built. */
export interface FillTimes {
  readonly rowsMs: number;
  readonly allMs: number;
}

interface Running {
  readonly piece: Piece;
  readonly kind: "part" | "build";
  leftMs: number;
}

/**
 * Simulates the work: parts in order, builds once their tables are complete, the longest first, all
 * sessions slowed down according to the scaling.
 */
export function simulateFill(
  { parts, builds, jobs, indexJobs, scaling }: FillWork,
): FillTimes {
  const partsLeft = new Map<string, number>();
  for (const { table } of parts) {
    partsLeft.set(tableKey(table), (partsLeft.get(tableKey(table)) ?? 0) + 1);
  }
  const waiting = Map.groupBy(builds, ({ table }) => tableKey(table));
  const ready: Piece[] = [];
  const release = (key: string) => {
    ready.push(...waiting.get(key) ?? []);
    waiting.delete(key);
    ready.sort((a, b) => a.ms - b.ms); // taken from the end
  };
  for (const key of [...waiting.keys()]) if (!partsLeft.has(key)) release(key);
  const running: Running[] = [];
  let nextPart = 0;
  let clock = 0;
  let rowsMs = 0;
  for (;;) {
    let copying = running.filter(({ kind }) => kind === "part").length;
    for (; copying < jobs && nextPart < parts.length; copying++) {
      const piece = parts[nextPart++]!;
      running.push({ piece, kind: "part", leftMs: piece.ms });
    }
    const builders = indexJobs + (jobs - copying);
    let building = running.length - copying;
    for (; building < builders && ready.length > 0; building++) {
      const piece = ready.pop()!;
      running.push({ piece, kind: "build", leftMs: piece.ms });
    }
    if (running.length === 0) return { rowsMs, allMs: clock };
    const speed = running.length ** (scaling - 1);
    const shortestMs = running.reduce((min, { leftMs }) => Math.min(min, leftMs), Infinity);
    clock += shortestMs / speed;
    for (let index = running.length - 1; index >= 0; index--) {
      const each = running[index]!;
      each.leftMs -= shortestMs;
      if (each.leftMs > 0) continue;
      running.splice(index, 1);
      if (each.kind === "build") continue;
      rowsMs = clock;
      const key = tableKey(each.piece.table);
      const left = (partsLeft.get(key) ?? 1) - 1;
      partsLeft.set(key, left);
      if (left === 0) release(key);
    }
  }
}
