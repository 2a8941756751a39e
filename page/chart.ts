/// <reference lib="dom" />
import uPlot from "uplot";
import { clock, dayClock, fill, make, setAttribute, setText } from "./dom.ts";
import type { Samples } from "./samples.ts";

/** A line of a chart. */
export interface Line {
  readonly name: string;
  readonly samples: Samples;
}

const height = 190;
const daySeconds = 86_400;
/** Intervals between time marks, from a second to days. */
const tickSeconds: number[] = [
  ...[1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200],
  ...[1, 2, 5, 10].map((days) => days * daySeconds),
];
const lineColors = ["--line-1", "--line-2", "--line-3", "--line-4"] as const;

/** A chart of values over time. Redrawn when its lines, width or the theme change. */
export class Chart {
  readonly element: HTMLElement;
  readonly #options: ChartOptions;
  readonly #box = make("div", { class: "plot", role: "img" });
  readonly #now = make("span", { class: "chart-now" });
  readonly #empty: HTMLElement;
  #plot: uPlot | undefined;
  #names = "";
  #lines: readonly Line[] = [];

  constructor(options: ChartOptions) {
    this.#options = options;
    this.#empty = make("p", { class: "muted empty" }, options.empty);
    this.element = make(
      "figure",
      { class: "card chart" },
      make("figcaption", {}, make("h2", {}, options.title), this.#now),
      this.#box,
      this.#empty,
    );
    this.#box.hidden = true;
    const sizes = new ResizeObserver(() => this.#fit());
    sizes.observe(this.#box);
    const redraw = () => this.#draw();
    document.addEventListener("seren-theme", redraw);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", redraw);
    options.signal.addEventListener("abort", () => {
      sizes.disconnect();
      document.removeEventListener("seren-theme", redraw);
      dark.removeEventListener("change", redraw);
      this.#plot?.destroy();
    }, { once: true });
  }

  /** Shows lines; `now` is the current value as text. */
  show(lines: readonly Line[], now: string): void {
    this.#lines = lines;
    setText(this.#now, now);
    const some = lines.some(({ samples }) => samples.at.length > 1);
    this.#box.hidden = !some;
    this.#empty.hidden = some;
    if (!some) return;
    // with one line, the legend only has the values under the pointer
    setAttribute(this.#box, "data-lines", lines.length === 1 ? "one" : "several");
    const names = JSON.stringify(lines.map(({ name }) => name));
    if (this.#plot === undefined || names !== this.#names) {
      this.#names = names;
      this.#draw();
    } else this.#plot.setData(joined(lines));
    const highest = Math.max(...lines.flatMap(({ samples }) => samples.values));
    setAttribute(
      this.#box,
      "aria-label",
      `${this.#options.title} over time: ${now || "currently none"}, ` +
        `maximum ${this.#options.format(highest)}`,
    );
  }

  #fit(): void {
    const width = this.#box.clientWidth;
    if (width === 0) return;
    if (this.#plot === undefined) this.#draw();
    else if (this.#plot.width !== width) this.#plot.setSize({ width, height });
  }

  #draw(): void {
    const width = this.#box.clientWidth;
    this.#plot?.destroy();
    this.#plot = undefined;
    fill(this.#box);
    if (width === 0 || this.#lines.length === 0) return;
    const { format } = this.#options;
    const style = getComputedStyle(document.documentElement);
    const color = (name: string) => style.getPropertyValue(name).trim();
    const axis: uPlot.Axis = {
      stroke: color("--muted"),
      font: "11px system-ui, sans-serif",
      grid: { stroke: color("--grid"), width: 1 },
      ticks: { show: false },
    };
    this.#plot = new uPlot(
      {
        width,
        height,
        padding: [8, 8, 0, 0],
        cursor: { points: { size: 6 }, drag: { x: false, y: false } },
        legend: { live: true },
        scales: { y: { range: (_plot, _low, high) => [0, Math.max(1, high * 1.1)] } },
        axes: [
          {
            ...axis,
            size: 26,
            space: 90,
            incrs: tickSeconds,
            values: (_plot, ticks) => {
              const spans = (ticks.at(-1) ?? 0) - (ticks[0] ?? 0);
              const format = spans < daySeconds ? clock : dayClock;
              return ticks.map((s) => format.format(s * 1000));
            },
          },
          {
            ...axis,
            size: 74,
            space: 30,
            // powers of two, like the units
            incrs: Array.from({ length: 50 }, (_, power) => 2 ** power),
            values: (_plot, ticks) => ticks.map((value) => format(value).replace(/\.0+(?= )/, "")),
          },
        ],
        series: [
          { label: "At", value: (_plot, s) => s === null ? "–" : clock.format(s * 1000) },
          ...this.#lines.map(({ name }, index): uPlot.Series => {
            const stroke = color(lineColors[index % lineColors.length]!);
            return {
              label: name,
              stroke,
              width: 1.5,
              fill: this.#lines.length === 1 ? `${stroke}22` : "transparent",
              points: { show: false },
              spanGaps: true,
              value: (_plot, value) => value === null ? "–" : format(value),
            };
          }),
        ],
      },
      joined(this.#lines),
      this.#box,
    );
  }
}

/** Settings of {@linkcode Chart}. */
export interface ChartOptions {
  readonly title: string;
  /** The text shown while there are no samples. */
  readonly empty: string;
  readonly format: (value: number) => string;
  readonly signal: AbortSignal;
}

/** Aligns the lines on a common time axis. */
function joined(lines: readonly Line[]): uPlot.AlignedData {
  const [first] = lines;
  if (lines.length === 1 && first !== undefined) {
    return [[...first.samples.at], [...first.samples.values]];
  }
  return uPlot.join(lines.map(({ samples }) => [[...samples.at], [...samples.values]]));
}
