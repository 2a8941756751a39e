/**
 * How long rows, indexes and statistics take when several sessions share the servers. Pure.
 *
 * @module
 */
import { tableKey, type TableName } from "../../../core/internal.ts";

/** Work of one session, in the milliseconds that it takes when nothing else runs. */
export interface Piece {
  readonly table: TableName;
  readonly ms: number;
}

/** What is to be done, and by how many. */
export interface FillWork {
  /** Parts of tables, in the order in which they are begun. */
  readonly parts: readonly Piece[];
  /** Indexes, keys and statistics: they begin when all parts of their table are there. */
  readonly builds: readonly Piece[];
  readonly jobs: number;
  /** Builders while rows are copied; afterwards the copying sessions join them. */
  readonly indexJobs: number;
  /**
   * How much sessions help each other: `n` of them together are `n ** scaling` times as fast as
   * one. 1: the servers have room for all; 0: one session takes all that they have.
   */
  readonly scaling: number;
}

/** When rows were in, and when everything was. */
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
 * Plays the work through: parts in their order, builds as their tables are complete, the longest
 * first, every session slowed by the others as the scaling says.
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
    const least = running.reduce((min, { leftMs }) => Math.min(min, leftMs), Infinity);
    clock += least / speed;
    for (let index = running.length - 1; index >= 0; index--) {
      const each = running[index]!;
      each.leftMs -= least;
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
