import { formatDuration, plural } from "../../core/internal.ts";
import { inTurn } from "./in_turn.ts";
import { type Markup, markup, name } from "./markup.ts";
import type { ReportView } from "./report_view.ts";
import { section } from "./section.ts";
import { type LaneGroup, layoutTimeline, type TimelineChart } from "./timeline_layout.ts";
import { drawTimeline, hasGathered } from "./timeline_svg.ts";
import { formatShare, workWords } from "./words.ts";

/** How many charts are initially open: those of the databases that took the longest. */
const maxOpenTimelines = 4;

/** What each session did when, database by database. */
export function timelineSection({ timeline }: ReportView): Markup {
  const charts = layoutTimeline(inTurn(timeline));
  if (charts.length === 0) {
    return section({ id: "timeline", title: "Timeline" }, markup`<p>No work was recorded.</p>`);
  }
  const open = new Set(charts.toSorted((a, b) => b.ms - a.ms).slice(0, maxOpenTimelines));
  const gathered = charts.some(hasGathered)
    ? " Pale blocks combine short consecutive pieces of work."
    : "";
  return section({ id: "timeline", title: "Timeline" }, [
    markup`<p>One lane per session. Hover over a block for details.${gathered}</p>
`,
    charts.map((chart, index) => timelineOf(chart, { index, open: open.has(chart) })),
  ]);
}

function timelineOf(
  chart: TimelineChart,
  { index, open }: { readonly index: number; readonly open: boolean },
): Markup {
  const begun = `${formatDuration(chart.ms)}, starting ${
    formatDuration(chart.startMs)
  } into the run`;
  return markup`<details${open ? markup` open` : undefined}><summary><h3>${
    name(chart.database)
  }</h3> ${begun}</summary>
<figure>
${drawTimeline(chart, `timeline-${index}`)}
<figcaption><ul class="legend">${chart.groups.map(legendItem)}</ul></figcaption>
</figure></details>
`;
}

function legendItem({ work, lanes, pieces, busy }: LaneGroup): Markup {
  const text = `${workWords[work].title}: ${plural(pieces, "piece")} in ${
    plural(lanes.length, "session")
  }, busy ${formatShare(busy)}`;
  return markup`<li><svg class="swatch" aria-hidden="true"><rect class="${work}" width="100%" height="100%"/></svg>${text}</li>`;
}
