/**
 * How a table is cut: into chunks that are read one by one, and cells that tell where in a chunk
 * something differs.
 *
 * @module
 */
import { quoteIdentifier, quoteQualified } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import type { Comparison } from "../plan/plan_comparisons.ts";
import { queryRows } from "./row_images.ts";
import { type Chunk, rangeColumn } from "./scan.ts";

/** Few enough that the rows of a cell can be looked at one by one. */
const rowsOfCell = 2_500;
const maxRanges = 256;
const maxSlices = 4_096;
const sampleRows = 20_000;
const smallTable = 5_000;
const smallestChunkBytes = 4 * 1024 * 1024;
const largestChunkBytes = 1024 * 1024 * 1024;
/** A table is cut into about so many chunks, if they are not too small or too large then. */
const wantedChunks = 256;
/** Ranges of a chunk, for when it differs. */
const rangesOfChunk = 16;
/**
 * Chunks of a table that are enough to find differences without cells: finer ones only cost time.
 */
const enoughChunks = 16;
/** Bytes of a table that is soon read once more, as that with many chunks is. */
const soonReadBytes = 64 * 1024 * 1024;

/** What cutting depends on besides the table. */
export interface CutOptions {
  /** Whether the sides are expected to differ here and there for a while. */
  readonly isBusy: boolean;
}

/**
 * Cuts a table. Boundaries come from a few blocks of it (TABLESAMPLE SYSTEM), never from a scan.
 *
 * In a table of many chunks these alone are cells enough: the few that differ are read once more,
 * in finer ranges; so is a small table that differs. Not where rows come and go all the time, for
 * then every chunk may differ.
 *
 * Only a table that lies on disk in the order of its key is read in several chunks: otherwise each
 * would take a scan of its own.
 */
export async function cutIntoChunks(
  session: Session,
  comparison: Comparison,
  { isBusy }: CutOptions,
): Promise<readonly Chunk[]> {
  const { bytes, rowEstimate = bytes / 100 } = comparison;
  const whole = { comparison, lower: undefined, upper: undefined } as const;
  if (rowEstimate < smallTable && bytes < smallestChunkBytes) {
    return [{ ...whole, thresholds: [], slices: 1 }];
  }
  const slicesFor = (rows: number) =>
    Math.min(maxSlices, 2 ** Math.max(0, Math.ceil(Math.log2(rows / rowsOfCell))));
  if (rangeColumn(comparison) === undefined) {
    return [{ ...whole, thresholds: [], slices: slicesFor(rowEstimate) }];
  }
  const chunkBytes = Math.min(
    largestChunkBytes,
    Math.max(smallestChunkBytes, bytes / wantedChunks),
  );
  const count = comparison.isClustered ? Math.max(1, Math.ceil(bytes / chunkBytes)) : 1;
  const isCoarse = !isBusy && (count >= enoughChunks || bytes <= soonReadBytes);
  const wantedRanges = Math.ceil(rowEstimate / rowsOfCell);
  const ranges = isCoarse
    ? Math.max(count * rangesOfChunk, Math.min(maxRanges, wantedRanges))
    : Math.min(maxRanges * count, Math.max(count, wantedRanges));
  const thresholds = await sampleThresholds(session, { comparison, ranges, rowEstimate });
  if (isCoarse) {
    return split(thresholds, count).map(({ thresholds, ...part }) => ({
      comparison,
      ...part,
      thresholds: [],
      slices: 1,
      finer: thresholds,
    }));
  }
  const slices = slicesFor(rowEstimate / (thresholds.length + 1));
  return split(thresholds, count).map((part) => ({ comparison, ...part, slices }));
}

/** Groups of neighbouring thresholds; what separates two groups bounds the chunks. Pure. */
export function split(
  thresholds: readonly string[],
  count: number,
): readonly Pick<Chunk, "lower" | "upper" | "thresholds">[] {
  const chunks = Math.max(1, Math.min(count, thresholds.length + 1));
  const edge = (index: number) => Math.round(index * (thresholds.length + 1) / chunks);
  return Array.from({ length: chunks }, (_, index) => ({
    lower: index === 0 ? undefined : thresholds[edge(index) - 1],
    upper: index === chunks - 1 ? undefined : thresholds[edge(index + 1) - 1],
    thresholds: thresholds.slice(edge(index), edge(index + 1) - 1),
  }));
}

async function sampleThresholds(
  session: Session,
  { comparison, ranges, rowEstimate }: {
    readonly comparison: Comparison;
    readonly ranges: number;
    readonly rowEstimate: number;
  },
): Promise<readonly string[]> {
  const column = rangeColumn(comparison)!;
  const name = quoteIdentifier(column.name);
  const percent = Math.min(100, 100 * sampleRows / Math.max(1, rowEstimate));
  const parts = comparison.source.map((part) =>
    `SELECT ${name} AS value FROM ONLY ${
      quoteQualified(part.schema, part.name)
    } TABLESAMPLE SYSTEM (${percent})`
  );
  const [found] = await queryRows<{ thresholds: readonly string[] | null }>(
    session,
    comparison,
    `
    SELECT pg_catalog.json_agg(pg_catalog.format('%s', value) ORDER BY value) AS thresholds
      FROM (SELECT DISTINCT pg_catalog.unnest(pg_catalog.percentile_disc(
                     ARRAY(SELECT i / ${ranges}::pg_catalog.float8 FROM pg_catalog.generate_series(1, ${
      ranges - 1
    }) AS i))
                     WITHIN GROUP (ORDER BY value)) AS value
              FROM (${parts.join(" UNION ALL ")}) AS sample) AS found
     WHERE value IS NOT NULL`,
  );
  return found?.thresholds ?? [];
}
