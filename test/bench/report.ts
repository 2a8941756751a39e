/**
 * The report of a benchmark. Pure.
 *
 * @module
 */
import { renderTable, type TextColumn } from "../../lib/ui/table.ts";
import type { Measurement } from "./measure.ts";
import type { ContenderResult, ScenarioResult } from "./run_scenario.ts";
import { median, ratios, type Spread, spread } from "./statistics.ts";

/** The ratio of this tool to an alternative. */
export interface Verdict {
  readonly ours: string;
  readonly theirs: string;
  readonly seconds: Spread;
  /** Whether the alternative exceeded its time limit, so that the true ratio is lower. */
  readonly atMost: boolean;
  /** Undefined if the alternative exceeded its time limit. */
  readonly clientCpu: Spread | undefined;
  /** The ratio of CPU time used by both servers. */
  readonly serverCpu: Spread | undefined;
  readonly bar: { readonly seconds?: number; readonly clientCpu?: number };
  /** Whether the medians reach every target. */
  readonly reached: boolean;
}

/** A scenario's comparisons between tools that both took part. */
export function verdicts({ scenario, contenders }: ScenarioResult): readonly Verdict[] {
  const find = (name: string) => contenders.find((one) => one.name === name);
  return scenario.comparisons.flatMap(({ ours, theirs, bar = {} }) => {
    const our = find(ours.name)?.rounds ?? [];
    const { rounds: their = [], gaveUpAfter } = find(theirs.name) ?? {};
    const atMost = their.length === 0 && gaveUpAfter !== undefined;
    if (our.length === 0 || (their.length === 0 && !atMost)) return [];
    const ratio = (of: (measured: Measurement) => number) => ratios(our.map(of), their.map(of));
    const seconds = atMost
      ? ratios(our.map((one) => one.seconds), our.map(() => gaveUpAfter))
      : ratio((one) => one.seconds);
    const clientCpu = atMost ? undefined : ratio((one) => one.clientCpu);
    return [{
      ours: ours.name,
      theirs: theirs.name,
      seconds,
      atMost,
      clientCpu,
      serverCpu: atMost ? undefined : ratio((one) => one.sourceCpu + one.targetCpu),
      bar,
      reached: seconds.median <= (bar.seconds ?? Infinity) &&
        (clientCpu?.median ?? 0) <= (bar.clientCpu ?? Infinity),
    }];
  });
}

/** Summary of all rounds of a contender. */
export interface Summary {
  readonly seconds: Spread;
  /** CPU seconds of all its processes per 1024³ bytes of tables. */
  readonly clientCpuPerGb: Spread;
  readonly serverCpuPerGb: Spread;
  readonly peakBytes: Spread;
  /** Whether peak memory exceeded the limit; for this tool only. */
  readonly tooMuchMemory: boolean;
}

/** The summary of a contender; undefined if it has no results. */
export function summaryOf(
  { rounds, ours }: ContenderResult,
  { scenario, tableBytes }: Pick<ScenarioResult, "scenario" | "tableBytes">,
): Summary | undefined {
  if (rounds.length === 0) return undefined;
  const gigabytes = tableBytes / 1024 ** 3;
  const of = (figure: (measured: Measurement) => number) => spread(rounds.map(figure));
  const peakBytes = of((one) => one.peakBytes);
  return {
    seconds: of((one) => one.seconds),
    clientCpuPerGb: of((one) => one.clientCpu / gigabytes),
    serverCpuPerGb: of((one) => (one.sourceCpu + one.targetCpu) / gigabytes),
    peakBytes,
    tooMuchMemory: ours && peakBytes.most > (scenario.peakBytes ?? Infinity),
  };
}

const number = { align: "right" } as const;

const measuredColumns: readonly TextColumn[] = [
  { title: "tool" },
  { title: "s (least..most)", ...number },
  { title: "first row", ...number },
  { title: "MB/s", ...number },
  { title: "client CPU s", ...number },
  { title: "s/GB", ...number },
  { title: "source", ...number },
  { title: "target", ...number },
  { title: "other", ...number },
  { title: "peak MB", ...number },
];

const ratioColumns: readonly TextColumn[] = [
  { title: "this tool / other" },
  { title: "time (least..most)", ...number },
  { title: "bar", ...number },
  { title: "client CPU", ...number },
  { title: "bar", ...number },
  { title: "servers' CPU", ...number },
  { title: "" },
];

const megabyte = 1024 * 1024;

/** Two tables: measurements and ratios. */
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
  contender: ContenderResult,
  { scenario, tableBytes }: ScenarioResult,
): readonly string[] {
  const { name, skipped, gaveUpAfter, rounds } = contender;
  const why = gaveUpAfter === undefined ? skipped : `gave up after ${gaveUpAfter} s`;
  const summary = summaryOf(contender, { scenario, tableBytes });
  if (summary === undefined) {
    return [name, why?.split("\n", 1)[0] ?? "", ...measuredColumns.slice(2).map(() => "")];
  }
  const middle = (of: (measured: Measurement) => number) => median(rounds.map(of));
  const { seconds, clientCpuPerGb, peakBytes, tooMuchMemory } = summary;
  return [
    name,
    `${seconds.median.toFixed(2)} (${seconds.least.toFixed(2)}..${seconds.most.toFixed(2)})`,
    firstRowOf(rounds),
    (tableBytes / megabyte / seconds.median).toFixed(0),
    middle((one) => one.clientCpu).toFixed(2),
    clientCpuPerGb.median.toFixed(2),
    middle((one) => one.sourceCpu).toFixed(2),
    middle((one) => one.targetCpu).toFixed(2),
    middle((one) => one.otherCpu).toFixed(2),
    `${(peakBytes.most / megabyte).toFixed(0)}${tooMuchMemory ? " ✗" : ""}`,
  ];
}

/** The median, in seconds. */
function firstRowOf(rounds: readonly Measurement[]): string {
  const seen = rounds.flatMap(({ firstRowSeconds }) => firstRowSeconds ?? []);
  return seen.length === 0 ? "" : median(seen).toFixed(2);
}

function ratioRow({ theirs, seconds, atMost, clientCpu, serverCpu, bar, reached }: Verdict) {
  const limit = (most: number | undefined) => most === undefined ? "" : `≤ ${most.toFixed(2)}`;
  return [
    theirs,
    `${atMost ? "< " : ""}${seconds.median.toFixed(2)} (${seconds.least.toFixed(2)}..${
      seconds.most.toFixed(2)
    })`,
    limit(bar.seconds),
    clientCpu?.median.toFixed(2) ?? "",
    limit(bar.clientCpu),
    serverCpu?.median.toFixed(2) ?? "",
    bar.seconds === undefined && bar.clientCpu === undefined ? "" : reached ? "✓" : "✗",
  ];
}
