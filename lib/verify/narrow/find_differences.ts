/**
 * Finds the differing rows of differing cells, and rules out those that differ only transiently.
 *
 * @module
 */
import { pause, type Side } from "../../core/internal.ts";
import { type Follower, readInsertPosition } from "../live/follower.ts";
import type { DigestMethod } from "../report/report.ts";
import {
  boundsOf,
  type Image,
  type Images,
  readImages,
  type RowSelection,
} from "../scan/row_images.ts";
import { type Cells, type Chunk, differingCells, scan } from "../scan/scan.ts";
import { both, type SessionPair } from "../scan/session_pair.ts";

/** A row that differs between the sides, perhaps only transiently. */
export interface Suspect {
  readonly id: string;
  readonly source: Image | undefined;
  readonly target: Image | undefined;
}

/** Options of {@linkcode findDifferences}. */
export interface NarrowOptions {
  readonly chunk: Chunk;
  readonly method: DigestMethod;
  readonly source: Cells;
  readonly target: Cells;
  /** The subscription that follows the source; undefined if the table is not replicated. */
  readonly follower: Follower | undefined;
  readonly count: (rows: RowCounts) => void;
}

/** Rows that were compared but are not reported as different. */
export interface RowCounts {
  /** Differed at first and became equal. */
  readonly settled: number;
  /** Changed during every attempt. */
  readonly unsettled: number;
  /** Looked up by key and found on neither side: deleted, or now under another key. */
  readonly gone?: number;
}

/** Rows compared at a time; they must fit in memory. */
const rowsPerBatch = 5_000;
const maxSlices = 65_536;
/** Suspects followed at a time. */
const suspectsPerBatch = 1_000;
/** From this round on, rows that keep changing are sampled repeatedly. */
const firstSamplingRound = 2;
const maxSamples = 25;
const maxRounds = 40;
const maxPauseMs = 50;

/**
 * Yields, in batches, the rows of differing cells that are certain to differ. The caller may stop
 * at any time.
 */
export function findDifferences(
  pair: SessionPair,
  options: NarrowOptions,
): AsyncGenerator<readonly Suspect[], void, void> {
  return findInCells(pair, { ...options, seen: new Set() });
}

/** Yields the rows among `ids` that are certain to differ, regardless of cells. */
export async function* findAmong(
  pair: SessionPair,
  ids: readonly string[],
  options: FollowOptions,
): AsyncGenerator<readonly Suspect[], void, void> {
  for (let from = 0; from < ids.length; from += suspectsPerBatch) {
    const selection = { ids: ids.slice(from, from + suspectsPerBatch) };
    const suspects = await readBothSides(pair, selection, options);
    const certain = await followUp(pair, suspects, options);
    if (certain.length > 0) yield certain;
  }
}

/** Options for following rows. */
type FollowOptions = Omit<NarrowOptions, "source" | "target">;

interface Narrowing extends NarrowOptions {
  /** A row with different values may be in different slices on the two sides; report it once. */
  readonly seen: Set<string>;
}

async function* findInCells(
  pair: SessionPair,
  options: Narrowing,
): AsyncGenerator<readonly Suspect[], void, void> {
  const { chunk, source, target } = options;
  const rowsOf = (cell: number) =>
    Math.max(source.get(cell)?.rows ?? 0, target.get(cell)?.rows ?? 0);
  const isKeyed = chunk.comparison.key !== undefined;
  let batch: number[] = [];
  let rows = 0;
  for (const cell of differingCells(source, target)) {
    if (isKeyed && rowsOf(cell) > rowsPerBatch && chunk.slices < maxSlices) {
      yield* findInLargeCell(pair, cell, options);
      continue;
    }
    if (batch.length > 0 && rows + rowsOf(cell) > rowsPerBatch) {
      yield* findInRows(pair, { chunk, cells: batch }, options);
      [batch, rows] = [[], 0];
    }
    batch.push(cell);
    rows += rowsOf(cell);
  }
  if (batch.length > 0) yield* findInRows(pair, { chunk, cells: batch }, options);
}

/** Divides a cell with too many rows, due to a wrong estimate or a skewed key, once more. */
async function* findInLargeCell(
  pair: SessionPair,
  cell: number,
  options: Narrowing,
): AsyncGenerator<readonly Suspect[], void, void> {
  const { chunk, method, source, target } = options;
  const rows = Math.max(source.get(cell)?.rows ?? 0, target.get(cell)?.rows ?? 0);
  const bounds = { ...chunk, ...boundsOf(chunk, Math.floor(cell / chunk.slices)), finer: [] };
  const { finer: thresholds = [] } = chunk;
  const finer: Chunk = thresholds.length > 0 && chunk.thresholds.length === 0
    ? { ...bounds, thresholds, slices: 1 }
    : {
      ...bounds,
      thresholds: [],
      slices: Math.min(
        maxSlices,
        chunk.slices * 2 ** Math.ceil(Math.log2(rows / (rowsPerBatch / 16))),
      ),
    };
  const [onSource, onTarget] = await both((side) =>
    scan(pair[side], { chunk: finer, side, method })
  );
  yield* findInCells(pair, {
    ...options,
    chunk: finer,
    source: onSource,
    target: onTarget,
  });
}

async function* findInRows(
  pair: SessionPair,
  selection: RowSelection,
  options: Narrowing,
): AsyncGenerator<readonly Suspect[], void, void> {
  const { chunk, follower, seen } = options;
  let suspects = await readBothSides(pair, selection, options);
  const isSliced = chunk.slices > 1 && chunk.comparison.key !== undefined;
  if (isSliced) {
    suspects = suspects.filter(({ id }) => !seen.has(id));
    for (const { id } of suspects) seen.add(id);
  }
  for (let from = 0; from < suspects.length; from += suspectsPerBatch) {
    const some = suspects.slice(from, from + suspectsPerBatch);
    const certain = follower !== undefined
      ? await followUp(pair, some, options)
      : isSliced
      ? await readBothSides(pair, { ids: some.map(({ id }) => id) }, options)
      : some;
    if (certain.length > 0) yield certain;
  }
}

/** Reads the source, waits for the target to catch up to that point, and reads the target. */
async function readBothSides(
  pair: SessionPair,
  selection: RowSelection,
  { chunk, method, follower, count }: FollowOptions,
): Promise<readonly Suspect[]> {
  const { comparison } = chunk;
  const read = (side: Side) => readImages(pair[side], { comparison, side, method, selection });
  if (follower === undefined) return differing(...await both(read));
  const onSource = await read("source");
  await waitForTarget(pair, follower);
  const onTarget = await read("target");
  const gone = "ids" in selection
    ? selection.ids.filter((id) => !onSource.has(id) && !onTarget.has(id)).length
    : 0;
  count({ settled: 0, unsettled: 0, gone });
  return differing(onSource, onTarget);
}

async function waitForTarget(pair: SessionPair, follower: Follower): Promise<void> {
  // must follow the reading of the rows: whatever it saw was committed before this position
  const lsn = await readInsertPosition(pair.source);
  if (lsn !== undefined) await follower.reach(lsn);
}

function differing(source: Images, target: Images): readonly Suspect[] {
  return [...new Set([...source.keys(), ...target.keys()])].flatMap((id): Suspect[] => {
    const suspect = { id, source: source.get(id), target: target.get(id) };
    return isEqual(suspect) ? [] : [suspect];
  });
}

function isEqual({ source, target }: Suspect): boolean {
  return source?.hash === target?.hash && source?.rows === target?.rows;
}

/**
 * Follows differing rows until each is equal or certain to differ.
 *
 * A round reads the source, waits until the target has applied everything the source had committed
 * by then, and reads the target. A row that differs in two rounds with unchanged versions on both
 * sides is certain to differ: nothing happened to it on the source between the two reads, and all
 * earlier changes had been applied.
 *
 * A row that keeps changing is read several times per round on both sides. It is equal if the
 * target shows a state that the source had **after** the round began; an earlier state proves
 * nothing.
 */
async function followUp(
  pair: SessionPair,
  suspects: readonly Suspect[],
  options: FollowOptions,
): Promise<readonly Suspect[]> {
  const certain: Suspect[] = [];
  let pending = new Map(suspects.map((suspect) => [suspect.id, suspect]));
  for (let round = 1; pending.size > 0 && round <= maxRounds; round++) {
    const selection = { ids: [...pending.keys()] };
    const still = new Map<string, Suspect>();
    const now = round < firstSamplingRound
      ? await readBothSides(pair, selection, options)
      : await sampleBothSides(pair, selection, options);
    for (const suspect of now) {
      const before = pending.get(suspect.id);
      if (before !== undefined && untouched(before, suspect)) certain.push(suspect);
      else still.set(suspect.id, suspect);
    }
    options.count({ settled: pending.size - now.length, unsettled: 0 });
    pending = still;
  }
  options.count({ settled: 0, unsettled: pending.size });
  return certain;
}

function untouched(before: Suspect, now: Suspect): boolean {
  return before.source?.version === now.source?.version &&
    before.target?.version === now.target?.version;
}

/**
 * Like {@linkcode readBothSides}, for rows that keep changing: polls the source throughout, so that
 * the state the target shows after catching up is likely among those observed.
 */
async function sampleBothSides(
  pair: SessionPair,
  selection: { readonly ids: readonly string[] },
  options: FollowOptions,
): Promise<readonly Suspect[]> {
  const { chunk: { comparison }, method, follower } = options;
  const read = (side: Side) => readImages(pair[side], { comparison, side, method, selection });
  const states = new Map(
    selection.ids.map((id) => [id, { source: new Set<string>(), target: new Set<string>() }]),
  );
  const add = (side: Side, images: Images) => {
    for (const [id, seen] of states) seen[side].add(state(images.get(id)));
    return images;
  };
  const source = add("source", await read("source"));
  const lsn = await readInsertPosition(pair.source);
  let isOver = false;
  const polling = (async () => {
    for (const start = performance.now(); !isOver;) {
      add("source", await read("source"));
      await pause(Math.min(maxPauseMs, (performance.now() - start) / 200));
    }
  })();
  polling.catch(() => {}); // awaited below; may reject earlier
  const open = () => [...states.values()].some((seen) => seen.source.isDisjointFrom(seen.target));
  let target: Images = new Map();
  try {
    if (lsn !== undefined) await follower?.reach(lsn);
    for (let sample = 0; sample < maxSamples && (sample === 0 || open()); sample++) {
      target = add("target", await read("target"));
    }
  } finally {
    isOver = true;
    await polling;
  }
  const isGone = (
    seen: { readonly source: ReadonlySet<string>; readonly target: ReadonlySet<string> },
  ) =>
    [...seen.source.intersection(seen.target)].join() === "" &&
    !seen.source.isDisjointFrom(seen.target);
  options.count({ settled: 0, unsettled: 0, gone: [...states.values()].filter(isGone).length });
  return differing(source, target).filter(({ id }) => {
    const seen = states.get(id);
    return seen === undefined || seen.source.isDisjointFrom(seen.target);
  });
}

/** The empty string for a row that does not exist. */
function state(image: Image | undefined): string {
  return image === undefined ? "" : `${image.rows} ${image.hash}`;
}
