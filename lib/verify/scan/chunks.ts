/**
 * Divides a table into chunks that are read one by one, and chunks into cells that locate
 * differences.
 *
 * @module
 */
import { quoteIdentifier, quoteQualified } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import type { Comparison } from "../plan/plan_comparisons.ts";
import { queryRows } from "./row_images.ts";
import { type Chunk, rangeColumn } from "./scan.ts";

/** Few enough to compare the rows of a cell individually. */
const rowsPerCell = 2_500;
const maxRanges = 256;
const maxSlices = 4_096;
const sampleRows = 20_000;
const smallTableRows = 5_000;
const minChunkBytes = 4 * 1024 * 1024;
const maxChunkBytes = 1024 * 1024 * 1024;
/** Target number of chunks per table, within the limits on their size. */
const targetChunks = 256;
/** Ranges that a differing chunk is divided into. */
const rangesPerChunk = 16;
/** With this many chunks, cells within them would only cost time. */
const minChunksWithoutCells = 16;
/** A table up to this size is quick to read again, so it needs no cells either. */
const maxRereadBytes = 64 * 1024 * 1024;

/** Options of {@linkcode cutIntoChunks}. */
export interface CutOptions {
  /** Whether transient differences are expected because the source is being written to. */
  readonly isBusy: boolean;
}

/**
 * Divides a table into chunks. Boundaries come from a sample of blocks (TABLESAMPLE SYSTEM), never
 * from a full scan.
 *
 * A table with many chunks needs no cells: the few chunks that differ are read again in finer
 * ranges, and so is a small table that differs. A busy table does need them, since every chunk of
 * it may differ.
 *
 * Only a table physically ordered by its key is read in several chunks; otherwise each chunk would
 * require a scan of the whole table.
 */
export async function cutIntoChunks(
  session: Session,
  comparison: Comparison,
  { isBusy }: CutOptions,
): Promise<readonly Chunk[]> {
  const { bytes, rowEstimate = bytes / 100 } = comparison;
  const whole = { comparison, lower: undefined, upper: undefined } as const;
  if (rowEstimate < smallTableRows && bytes < minChunkBytes) {
    return [{ ...whole, thresholds: [], slices: 1 }];
  }
  const slicesFor = (rows: number) =>
    Math.min(maxSlices, 2 ** Math.max(0, Math.ceil(Math.log2(rows / rowsPerCell))));
  if (rangeColumn(comparison) === undefined) {
    return [{ ...whole, thresholds: [], slices: slicesFor(rowEstimate) }];
  }
  const chunkBytes = Math.min(
    maxChunkBytes,
    Math.max(minChunkBytes, bytes / targetChunks),
  );
  const count = comparison.isClustered ? Math.max(1, Math.ceil(bytes / chunkBytes)) : 1;
  const isCoarse = !isBusy && (count >= minChunksWithoutCells || bytes <= maxRereadBytes);
  const fineRanges = Math.ceil(rowEstimate / rowsPerCell);
  const ranges = isCoarse
    ? Math.max(count * rangesPerChunk, Math.min(maxRanges, fineRanges))
    : Math.min(maxRanges * count, Math.max(count, fineRanges));
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

/** Groups adjacent thresholds; the thresholds between groups become chunk boundaries. Pure. */
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
