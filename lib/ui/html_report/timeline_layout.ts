import type { WorkKind } from "../../core/internal.ts";
import type { WorkView } from "./report_view.ts";
import { workKinds } from "./words.ts";

/** The timeline of one database. */
export interface TimelineChart {
  readonly database: string;
  /** Since the run began. */
  readonly startMs: number;
  /** From the start of the first piece of work to the end of the last. */
  readonly ms: number;
  readonly groups: readonly LaneGroup[];
  readonly ticks: readonly Tick[];
}

/** All sessions doing one kind of work. */
export interface LaneGroup {
  readonly work: WorkKind;
  readonly pieces: number;
  /** Share of the group's time during which its sessions were busy, from 0 to 1. */
  readonly busy: number;
  readonly lanes: readonly Lane[];
}

/** One session. */
export interface Lane {
  readonly lane: number;
  readonly blocks: readonly Block[];
}

/** One drawn block: a piece of work, or several short consecutive ones. */
export interface Block {
  readonly first: WorkView;
  readonly last: WorkView;
  readonly pieces: number;
  /** As a fraction of the chart. */
  readonly start: number;
  readonly width: number;
  /** Without the pauses between pieces. */
  readonly busyMs: number;
  readonly bytes: number;
}

/** A vertical line across the lanes. */
export interface Tick {
  /** As a fraction of the chart. */
  readonly at: number;
  readonly label: string;
}

/** Pieces narrower than this fraction (about six pixels) are merged with their neighbors. */
const minPieceWidth = 0.007;
/** Merged blocks stay narrow so that the chart still shows where time was spent. */
const maxMergedWidth = 0.05;

/** Lays out one chart per database, in order of their start. Pure. */
export function layoutTimeline(timeline: readonly WorkView[]): readonly TimelineChart[] {
  return [...Map.groupBy(timeline, ({ database }) => database)]
    .map(([database, works]) => layoutChart(database, works))
    .sort((a, b) => a.startMs - b.startMs);
}

function layoutChart(database: string, works: readonly WorkView[]): TimelineChart {
  const { startMs, ms } = extent(works);
  const byKind = Map.groupBy(works, ({ work }) => work);
  const groups = workKinds.flatMap((work) => {
    const ofKind = byKind.get(work);
    return ofKind === undefined ? [] : [layoutGroup(work, ofKind, { startMs, ms })];
  });
  return { database, startMs, ms, groups, ticks: ticksOf(ms) };
}

interface Extent {
  readonly startMs: number;
  /** At least 1. */
  readonly ms: number;
}

function extent(works: readonly WorkView[]): Extent {
  let startMs = Infinity;
  let endMs = -Infinity;
  for (const work of works) {
    startMs = Math.min(startMs, work.startMs);
    endMs = Math.max(endMs, work.startMs + work.ms);
  }
  return { startMs, ms: Math.max(1, endMs - startMs) };
}

function layoutGroup(work: WorkKind, works: readonly WorkView[], chart: Extent): LaneGroup {
  const lanes = [...Map.groupBy(works, ({ lane }) => lane)]
    .sort(([a], [b]) => a - b)
    .map(([lane, ofLane]) => ({ lane, blocks: layoutBlocks(ofLane, chart) }));
  const busyMs = works.reduce((sum, { ms }) => sum + ms, 0);
  return {
    work,
    pieces: works.length,
    busy: Math.min(1, busyMs / (extent(works).ms * lanes.length)),
    lanes,
  };
}

function layoutBlocks(works: readonly WorkView[], chart: Extent): readonly Block[] {
  const blocks: Block[] = [];
  let previousIsShort = false;
  for (const work of works.toSorted((a, b) => a.startMs - b.startMs)) {
    const block = blockOf(work, chart);
    const isShort = block.width < minPieceWidth;
    const previous = blocks.at(-1);
    const gathered = previous !== undefined && previousIsShort && isShort
      ? gather(previous, block)
      : undefined;
    if (gathered === undefined) blocks.push(block);
    else blocks[blocks.length - 1] = gathered;
    previousIsShort = isShort;
  }
  return blocks;
}

function blockOf(work: WorkView, chart: Extent): Block {
  return {
    first: work,
    last: work,
    pieces: 1,
    start: (work.startMs - chart.startMs) / chart.ms,
    width: work.ms / chart.ms,
    busyMs: work.ms,
    bytes: work.bytes ?? 0,
  };
}

/** Merges two blocks, unless the gap is too large or the result too wide. */
function gather(block: Block, next: Block): Block | undefined {
  const pause = next.start - (block.start + block.width);
  const width = next.start + next.width - block.start;
  if (pause > minPieceWidth || width > maxMergedWidth) return undefined;
  return {
    first: block.first,
    last: next.last,
    pieces: block.pieces + next.pieces,
    start: block.start,
    width,
    busyMs: block.busyMs + next.busyMs,
    bytes: block.bytes + next.bytes,
  };
}

const maxTicks = 6;
const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
/** Round distances between ticks. */
const tickSteps = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 15, 30].map((count) => count * second),
  ...[1, 2, 5, 10, 15, 30].map((count) => count * minute),
  ...[1, 2, 3, 6, 12].map((count) => count * hour),
];

/** Vertical lines at round distances. */
export function ticksOf(ms: number): readonly Tick[] {
  const step = tickSteps.find((each) => ms / each <= maxTicks) ??
    24 * hour * Math.ceil(ms / (24 * hour) / maxTicks);
  const count = Math.floor(ms / step);
  return Array.from({ length: count + 1 }, (_, index) => ({
    at: index * step / ms,
    label: tickLabel(index * step, { step, ms }),
  }));
}

/** `200 ms`, `1.5 s`, `0:30` or `1:15:00`, alike for all labels of a chart. */
function tickLabel(
  atMs: number,
  { step, ms }: { readonly step: number; readonly ms: number },
): string {
  if (ms < second) return `${atMs} ms`;
  if (ms < 2 * minute) {
    return `${(atMs / second).toFixed(step < 100 ? 2 : step < second ? 1 : 0)} s`;
  }
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  const seconds = two(atMs % minute / second);
  return ms < hour
    ? `${Math.floor(atMs / minute)}:${seconds}`
    : `${Math.floor(atMs / hour)}:${two(atMs % hour / minute)}:${seconds}`;
}
