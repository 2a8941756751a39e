import { formatDuration, redact, stepTitle } from "../../core/internal.ts";
import { type Markup, markup } from "../html_report/markup.ts";
import { ticksOf } from "../html_report/timeline_layout.ts";
import type { SwitchStepView } from "./cutover_view.ts";

const rowHeight = 22;
const barHeight = 16;
const axisHeight = 22;
/** Keeps the shortest step visible. */
const minWidth = 0.0015;

/** Every step as a bar in time: one row for each; orange while writers wait. */
export function drawSwitch(steps: readonly SwitchStepView[]): Markup {
  const ms = Math.max(1, ...steps.map((step) => step.atMs + step.ms));
  const height = steps.length * rowHeight;
  return markup`<figure>
<svg class="chart steps" role="img" aria-labelledby="switch-title switch-desc" height="${
    height + axisHeight
  }">
<title id="switch-title">Timeline of the switch</title>
<desc id="switch-desc">${describe(steps, ms)}</desc>
${
    ticksOf(ms).map(({ at, label }) => {
      const x = percentLength(at);
      const anchor = at > 0.96 ? "end" : at > 0 ? "middle" : "start";
      return markup`<line class="tick" x1="${x}" x2="${x}" y1="0" y2="${height + 4}"/>
<text class="tick" x="${x}" y="${height + 17}" text-anchor="${anchor}">${label}</text>
`;
    })
  }${steps.map((step, index) => drawStep(step, { ms, y: index * rowHeight }))}</svg>
<figcaption><ul class="legend">${legendItem("index", "writers wait")}${
    legendItem("copy", "writers do not wait")
  }</ul></figcaption>
</figure>
`;
}

function describe(steps: readonly SwitchStepView[], ms: number): string {
  const waiting = steps.filter(({ isPause }) => isPause).length;
  return `${steps.length} steps in ${formatDuration(ms)}; writers wait during ${waiting} of them.`;
}

function drawStep(
  step: SwitchStepView,
  { ms, y }: { readonly ms: number; readonly y: number },
): Markup {
  const place = markup`x="${percentLength(step.atMs / ms)}" y="${y}" width="${
    percentLength(Math.max(minWidth, step.ms / ms))
  }" height="${barHeight}"`;
  const title = `${stepTitle(step.step)}: ${formatDuration(step.ms)}${
    step.summary === "" ? "" : `, ${redact(step.summary)}`
  }`;
  return markup`<text class="lane" x="-8" y="${y + 12}" text-anchor="end">${
    stepTitle(step.step)
  }</text>
<rect class="track" x="0" y="${y}" width="100%" height="${barHeight}"/>
<rect class="${step.isPause ? "index" : "copy"}" ${place}><title>${title}</title></rect>
`;
}

function legendItem(color: "index" | "copy", text: string): Markup {
  return markup`<li><svg class="swatch" aria-hidden="true"><rect class="${color}" width="100%" height="100%"/></svg>${text}</li>`;
}

function percentLength(fraction: number): string {
  return `${Number((fraction * 100).toFixed(3))}%`;
}
