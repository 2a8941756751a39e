/**
 * What a bench says at the end. Pure.
 *
 * @module
 */
import { renderTable, type TableColumn } from "../../lib/ui/table.ts";
import type { Measurement } from "./measure.ts";
import type { ContenderResult, ScenarioResult } from "./run_scenario.ts";
import { median, ratios, type Spread, spread } from "./statistics.ts";

/** One of ours by one of theirs. */
export interface Verdict {
  readonly ours: string;
  readonly theirs: string;
  readonly seconds: Spread;
  readonly clientCpu: Spread;
  /** Ours by theirs: what both servers spent. */
  readonly serverCpu: Spread;
  readonly bar: { readonly seconds?: number; readonly clientCpu?: number };
  /** Whether every bar is reached by the median. */
  readonly reached: boolean;
}

/** A scenario's comparisons, as far as both sides took part. */
export function verdicts({ scenario, contenders }: ScenarioResult): readonly Verdict[] {
  const rounds = (name: string) => contenders.find((one) => one.name === name)?.rounds ?? [];
  return scenario.comparisons.flatMap(({ ours, theirs, bar = {} }) => {
    const [our, their] = [rounds(ours.name), rounds(theirs.name)];
    if (our.length === 0 || their.length === 0) return [];
    const ratio = (of: (measured: Measurement) => number) => ratios(our.map(of), their.map(of));
    const seconds = ratio((one) => one.seconds);
    const clientCpu = ratio((one) => one.clientCpu);
    return [{
      ours: ours.name,
      theirs: theirs.name,
      seconds,
      clientCpu,
      serverCpu: ratio((one) => one.sourceCpu + one.targetCpu),
      bar,
      reached: seconds.median <= (bar.seconds ?? Infinity) &&
        clientCpu.median <= (bar.clientCpu ?? Infinity),
    }];
  });
}

const number = { align: "right" } as const;

const measuredColumns: readonly TableColumn[] = [
  { title: "tool" },
  { title: "s (least..most)", ...number },
  { title: "MB/s", ...number },
  { title: "client CPU s", ...number },
  { title: "source", ...number },
  { title: "target", ...number },
  { title: "other", ...number },
  { title: "peak MB", ...number },
];

const ratioColumns: readonly TableColumn[] = [
  { title: "ours / theirs" },
  { title: "time (least..most)", ...number },
  { title: "bar", ...number },
  { title: "client CPU", ...number },
  { title: "bar", ...number },
  { title: "servers' CPU", ...number },
  { title: "" },
];

const megabyte = 1024 * 1024;

/** Two tables: what was measured, and the ratios. */
export function renderScenario(result: ScenarioResult): readonly string[] {
  const { scenario, tableBytes, contenders } = result;
  const options = { columns: Infinity, color: false };
  const lines = [
    `${scenario.name}: ${scenario.what}; ${Math.round(tableBytes / megabyte)} MB`,
    ...renderTable(measuredColumns, contenders.map((one) => measuredRow(one, result)), options),
  ];
  const found = verdicts(result);
  if (found.length > 0) lines.push("", ...renderTable(ratioColumns, found.map(ratioRow), options));
  for (const { name, waits } of contenders) {
    if (waits === undefined) continue;
    const most = Object.entries(waits).slice(0, 12);
    lines.push("", `${name}: ${most.map(([what, count]) => `${what} ×${count}`).join("; ")}`);
  }
  return lines;
}

function measuredRow(
  { name, skipped, rounds, ours }: ContenderResult,
  { scenario, tableBytes }: ScenarioResult,
): readonly string[] {
  if (skipped !== undefined) return [name, skipped.split("\n", 1)[0] ?? "", "", "", "", "", "", ""];
  const middle = (of: (measured: Measurement) => number) => median(rounds.map(of));
  const seconds = spread(rounds.map((one) => one.seconds));
  const peak = middle((one) => one.peakBytes);
  const tooMuch = ours && peak > (scenario.peakBytes ?? Infinity);
  return [
    name,
    `${seconds.median.toFixed(2)} (${seconds.least.toFixed(2)}..${seconds.most.toFixed(2)})`,
    (tableBytes / megabyte / seconds.median).toFixed(0),
    middle((one) => one.clientCpu).toFixed(2),
    middle((one) => one.sourceCpu).toFixed(2),
    middle((one) => one.targetCpu).toFixed(2),
    middle((one) => one.otherCpu).toFixed(2),
    `${(peak / megabyte).toFixed(0)}${tooMuch ? " ✗" : ""}`,
  ];
}

function ratioRow({ theirs, seconds, clientCpu, serverCpu, bar, reached }: Verdict) {
  const limit = (most: number | undefined) => most === undefined ? "" : `≤ ${most.toFixed(2)}`;
  return [
    theirs,
    `${seconds.median.toFixed(2)} (${seconds.least.toFixed(2)}..${seconds.most.toFixed(2)})`,
    limit(bar.seconds),
    clientCpu.median.toFixed(2),
    limit(bar.clientCpu),
    serverCpu.median.toFixed(2),
    bar.seconds === undefined && bar.clientCpu === undefined ? "" : reached ? "✓" : "✗",
  ];
}
