/**
 * From cells that differ to rows that differ, and from those to the ones that really do.
 *
 * @module
 */
import { pause } from "../../postgres/internal.ts";
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

/** A row that is not the same on both sides. */
export interface Suspect {
  readonly id: string;
  readonly source: Image | undefined;
  readonly target: Image | undefined;
}

/** What narrowing takes. */
export interface NarrowOptions {
  readonly chunk: Chunk;
  readonly method: DigestMethod;
  readonly source: Cells;
  readonly target: Cells;
  /** The target that follows the source; undefined where changes do not come. */
  readonly follower: Follower | undefined;
  readonly note: (rows: NotedRows) => void;
}

/** Rows that are nothing to show. */
export interface NotedRows {
  /** They differed and then no longer. */
  readonly settled: number;
  /** They changed whenever they were looked at. */
  readonly unsettled: number;
  /**
   * They were looked for by their key, and are now on neither side: deleted, or under another key.
   */
  readonly gone?: number;
}

/** Rows that are looked at in one go: they fit into memory. */
const rowsOfBatch = 5_000;
const maxSlices = 65_536;
/** Suspects that are followed at a time. */
const followedAtOnce = 1_000;
/** From this round on, rows that keep changing are read again and again. */
const samplingRound = 2;
const samples = 25;
const maxRounds = 40;
const longestPauseMs = 50;

/**
 * Finds the rows of the cells that differ. Yields those for which it is certain, some at a time;
 * who has enough stops asking.
 */
export function findDifferences(
  pair: SessionPair,
  options: NarrowOptions,
): AsyncGenerator<readonly Suspect[], void, void> {
  return findInCells(pair, { ...options, seen: new Set() });
}

/** Finds out which of these rows differ for certain, whatever their cells. */
export async function* findAmong(
  pair: SessionPair,
  ids: readonly string[],
  options: Following,
): AsyncGenerator<readonly Suspect[], void, void> {
  for (let from = 0; from < ids.length; from += followedAtOnce) {
    const selection = { ids: ids.slice(from, from + followedAtOnce) };
    const suspects = await readBothSides(pair, selection, options);
    const certain = await followUp(pair, suspects, options);
    if (certain.length > 0) yield certain;
  }
}

/** What following a row takes. */
type Following = Omit<NarrowOptions, "source" | "target">;

interface Narrowing extends NarrowOptions {
  /**
   * A row whose values differ is in one slice with the old ones and in another with the new: it is
   * told once.
   */
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
    if (isKeyed && rowsOf(cell) > rowsOfBatch && chunk.slices < maxSlices) {
      yield* findInLargeCell(pair, cell, options);
      continue;
    }
    if (batch.length > 0 && rows + rowsOf(cell) > rowsOfBatch) {
      yield* findInRows(pair, { chunk, cells: batch }, options);
      [batch, rows] = [[], 0];
    }
    batch.push(cell);
    rows += rowsOf(cell);
  }
  if (batch.length > 0) yield* findInRows(pair, { chunk, cells: batch }, options);
}

/**
 * A cell of too many rows, because the planner's estimate was wrong or the key is skewed, is cut
 * once more.
 */
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
        chunk.slices * 2 ** Math.ceil(Math.log2(rows / (rowsOfBatch / 16))),
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
  for (let from = 0; from < suspects.length; from += followedAtOnce) {
    const some = suspects.slice(from, from + followedAtOnce);
    const certain = follower !== undefined
      ? await followUp(pair, some, options)
      : isSliced
      ? await readBothSides(pair, { ids: some.map(({ id }) => id) }, options)
      : some;
    if (certain.length > 0) yield certain;
  }
}

/** Reads the source, lets the target come up to there, reads the target. */
async function readBothSides(
  pair: SessionPair,
  selection: RowSelection,
  { chunk, method, follower, note }: Following,
): Promise<readonly Suspect[]> {
  const { comparison } = chunk;
  const read = (side: "source" | "target") =>
    readImages(pair[side], { comparison, side, method, selection });
  if (follower === undefined) return differing(...await both(read));
  const onSource = await read("source");
  await catchUp(pair, follower);
  const onTarget = await read("target");
  const gone = "ids" in selection
    ? selection.ids.filter((id) => !onSource.has(id) && !onTarget.has(id)).length
    : 0;
  note({ settled: 0, unsettled: 0, gone });
  return differing(onSource, onTarget);
}

async function catchUp(pair: SessionPair, follower: Follower): Promise<void> {
  // read after the rows: whatever they show was committed before this position
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
 * Follows rows that differ until each is equal or certainly different.
 *
 * A round reads the source, waits until the target has applied what the source had committed by
 * then, and reads the target. A row that differs in two rounds and has not been touched in between,
 * on either side (its versions are the same), is certainly different: on the source nothing
 * happened to it between the two readings, and all that happened before had been applied.
 *
 * A row that changes all the time is read several times a round on both sides. The target then is
 * equal when it shows a state that the source had **after** the round began; a state from before
 * proves nothing.
 */
async function followUp(
  pair: SessionPair,
  suspects: readonly Suspect[],
  options: Following,
): Promise<readonly Suspect[]> {
  const certain: Suspect[] = [];
  let pending = new Map(suspects.map((suspect) => [suspect.id, suspect]));
  for (let round = 1; pending.size > 0 && round <= maxRounds; round++) {
    const selection = { ids: [...pending.keys()] };
    const still = new Map<string, Suspect>();
    const now = round < samplingRound
      ? await readBothSides(pair, selection, options)
      : await sampleBothSides(pair, selection, options);
    for (const suspect of now) {
      const before = pending.get(suspect.id);
      if (before !== undefined && untouched(before, suspect)) certain.push(suspect);
      else still.set(suspect.id, suspect);
    }
    options.note({ settled: pending.size - now.length, unsettled: 0 });
    pending = still;
  }
  options.note({ settled: 0, unsettled: pending.size });
  return certain;
}

function untouched(before: Suspect, now: Suspect): boolean {
  return before.source?.version === now.source?.version &&
    before.target?.version === now.target?.version;
}

/**
 * As {@linkcode readBothSides}, for rows that keep changing: the source is read again and again
 * from the beginning on, so that whatever state the target shows when it has come that far is
 * likely to be among those that were seen.
 */
async function sampleBothSides(
  pair: SessionPair,
  selection: { readonly ids: readonly string[] },
  options: Following,
): Promise<readonly Suspect[]> {
  const { chunk: { comparison }, method, follower } = options;
  const read = (side: "source" | "target") =>
    readImages(pair[side], { comparison, side, method, selection });
  const states = new Map(
    selection.ids.map((id) => [id, { source: new Set<string>(), target: new Set<string>() }]),
  );
  const add = (side: "source" | "target", images: Images) => {
    for (const [id, seen] of states) seen[side].add(state(images.get(id)));
    return images;
  };
  const source = add("source", await read("source"));
  const lsn = await readInsertPosition(pair.source);
  let isOver = false;
  const polling = (async () => {
    for (const start = performance.now(); !isOver;) {
      add("source", await read("source"));
      await pause(Math.min(longestPauseMs, (performance.now() - start) / 200));
    }
  })();
  polling.catch(() => {}); // awaited below; may come before anybody waits
  const open = () => [...states.values()].some((seen) => seen.source.isDisjointFrom(seen.target));
  let target: Images = new Map();
  try {
    if (lsn !== undefined) await follower?.reach(lsn);
    for (let sample = 0; sample < samples && (sample === 0 || open()); sample++) {
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
  options.note({ settled: 0, unsettled: 0, gone: [...states.values()].filter(isGone).length });
  return differing(source, target).filter(({ id }) => {
    const seen = states.get(id);
    return seen === undefined || seen.source.isDisjointFrom(seen.target);
  });
}

/** Of a row that is not there: the empty string. */
function state(image: Image | undefined): string {
  return image === undefined ? "" : `${image.rows} ${image.hash}`;
}
