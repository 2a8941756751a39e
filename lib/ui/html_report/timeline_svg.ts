import { formatBytes, formatDuration, plural } from "../../core/internal.ts";
import { displayWidth } from "../display_width.ts";
import { truncate } from "../text.ts";
import { type Markup, markup } from "./markup.ts";
import type { Block, Lane, LaneGroup, Tick, TimelineChart } from "./timeline_layout.ts";
import { formatRate, formatShare, workWords } from "./words.ts";

const laneHeight = 18;
const laneGap = 4;
const groupGap = 10;
const axisHeight = 22;
/** Blocks narrower than this fraction of the chart have no room for a label. */
const minLabelled = 0.045;
/** Characters across a chart on a typical screen; on narrower ones labels are clipped. */
const charactersAcross = 145;
/** Keeps the shortest piece of work visible. */
const minWidth = 0.0015;

/**
 * A timeline as SVG, one lane per session. Horizontal positions are percentages, so that it fills
 * any width without scaling text.
 *
 * @param id unique in the page
 */
export function drawTimeline(chart: TimelineChart, id: string): Markup {
  const rows = rowsOf(chart.groups);
  const height = (rows.at(-1)?.y ?? 0) + laneHeight + laneGap;
  return markup`<svg class="chart" role="img" aria-labelledby="${id}-title ${id}-desc" height="${
    height + axisHeight
  }">
<title id="${id}-title">Timeline of ${chart.database}</title>
<desc id="${id}-desc">${describeTimeline(chart)}</desc>
${chart.ticks.map((tick) => drawTick(tick, height))}${rows.map(drawLane)}</svg>`;
}

/** A text alternative for the chart. */
function describeTimeline({ groups, ms }: TimelineChart): string {
  const sentences = groups.map(({ work, lanes, pieces, busy }) =>
    `${workWords[work].title}: ${plural(lanes.length, "session")}, ` +
    `${plural(pieces, "piece")} of work, busy ${formatShare(busy)} of the time.`
  );
  return [`${formatDuration(ms)} from start to end.`, ...sentences].join(" ");
}

/** Whether any block combines several pieces of work. */
export function hasGathered(chart: TimelineChart): boolean {
  return chart.groups.some(({ lanes }) =>
    lanes.some(({ blocks }) => blocks.some(({ pieces }) => pieces > 1))
  );
}

interface LaneRow {
  readonly work: LaneGroup["work"];
  readonly lane: Lane;
  readonly y: number;
}

function rowsOf(groups: readonly LaneGroup[]): readonly LaneRow[] {
  const rows: LaneRow[] = [];
  let y = 0;
  for (const { work, lanes } of groups) {
    for (const lane of lanes) {
      rows.push({ work, lane, y });
      y += laneHeight + laneGap;
    }
    y += groupGap;
  }
  return rows;
}

function drawTick({ at, label }: Tick, height: number): Markup {
  const x = percentLength(at);
  const anchor = at > 0.96 ? "end" : at > 0 ? "middle" : "start";
  return markup`<line class="tick" x1="${x}" x2="${x}" y1="0" y2="${height + 4}"/>
<text class="tick" x="${x}" y="${height + 17}" text-anchor="${anchor}">${label}</text>
`;
}

function drawLane({ work, lane, y }: LaneRow): Markup {
  const title = `${workWords[work].lane} ${lane.lane}`;
  return markup`<text class="lane" x="-8" y="${y + 13}" text-anchor="end">${title}</text>
<rect class="track" x="0" y="${y}" width="100%" height="${laneHeight}"/>
${lane.blocks.map((block) => drawBlock(block, { work, y }))}`;
}

function drawBlock(
  block: Block,
  { work, y }: { readonly work: LaneGroup["work"]; readonly y: number },
): Markup {
  const gathered = block.pieces > 1 ? " gathered" : "";
  const width = percentLength(Math.max(minWidth, block.width));
  const place = markup`x="${
    percentLength(block.start)
  }" y="${y}" width="${width}" height="${laneHeight}"`;
  const label = labelOf(block);
  return markup`<rect class="${work}${gathered}" ${place}><title>${
    tooltip(block, work)
  }</title></rect>${
    label === undefined
      ? undefined
      : markup`<svg ${place}><text class="label${gathered}" x="5" y="13">${label}</text></svg>`
  }
`;
}

/** The label on a block, truncated to its width; undefined when there is no room. */
function labelOf({ first, pieces, width }: Block): string | undefined {
  if (width < minLabelled) return undefined;
  const text = pieces > 1 ? `${pieces} ×` : first.label;
  const label = truncate(text, Math.floor(width * charactersAcross));
  return displayWidth(label) < 2 ? undefined : label;
}

function tooltip({ first, last, pieces, busyMs, bytes }: Block, work: LaneGroup["work"]): string {
  const what = pieces === 1
    ? `${workWords[work].piece}: ${first.label}`
    : `${plural(pieces, "short piece")} of work, from ${first.label} to ${last.label}`;
  const size = bytes === 0 ? "" : `, ${formatBytes(bytes)}, ${formatRate(bytes, busyMs)}`;
  return `${what} (${formatDuration(busyMs)}${size})`;
}

function percentLength(fraction: number): string {
  return `${Number((fraction * 100).toFixed(3))}%`;
}
