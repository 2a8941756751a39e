import { formatBytes, formatDuration, plural } from "../core/internal.ts";
import type { ViewSize } from "./progress_view.ts";
import { sparkline } from "./sparkline.ts";
import { makeStyle, type Style } from "./style.ts";
import { displayWidth } from "./display_width.ts";
import { padEnd, padStart, printable, truncate, wrap } from "./text.ts";

/** How serious something is. */
export type Tone = "good" | "warn" | "bad";

/** One replication stream in a {@linkcode WatchView}. */
export interface WatchedStream {
  /** The databases, and the epoch if there are several. */
  readonly label: string;
  readonly state: string;
  readonly tone: Tone;
  readonly lagBytes: number | null;
  readonly lagSeconds: number | null;
  readonly appliedBytesPerSecond: number | null;
  readonly catchUpSeconds: number | null;
  /** Lag in bytes at each refresh, oldest first. */
  readonly history: readonly (number | null)[];
}

/** Something that needs attention. */
export interface WatchedFinding {
  readonly tone: Tone;
  readonly text: string;
  readonly remedy: string;
}

/** Everything shown at one time. */
export interface WatchView {
  /** One line naming source and target. */
  readonly title: string;
  /** The local time. */
  readonly time: string;
  readonly walBytesPerSecond: number | null;
  readonly streams: readonly WatchedStream[];
  readonly findings: readonly WatchedFinding[];
  /** Which keys do what. */
  readonly hint: string;
}

const maxChartColumns = 60;
const minChartColumns = 6;

/**
 * The live view of replication as lines that fit the terminal. When space is short, parts are
 * dropped in this order: remedies, charts, details, findings, streams.
 */
export function renderWatch(view: WatchView, { columns, rows, color }: ViewSize): string[] {
  const style = makeStyle(color);
  const maxLines = Math.max(1, rows - 1);
  const head = [headLine(view, { style, columns })];
  const foot = maxLines >= 6 ? [style.dim(printable(view.hint))] : [];
  const room = Math.max(1, maxLines - head.length - foot.length);
  const minFindings = view.findings.length === 0 ? 0 : Math.min(2, Math.floor(room / 3));
  const streams = streamLines(view.streams, {
    style,
    columns,
    room: Math.max(1, room - minFindings),
  });
  const findings = findingLines(view.findings, { style, columns, room: room - streams.length });
  return [...head, ...streams, ...findings, ...foot]
    .slice(0, maxLines)
    .map((line) => truncate(line, columns));
}

function headLine(
  { title, time, walBytesPerSecond }: WatchView,
  { style, columns }: { readonly style: Style; readonly columns: number },
): string {
  const wal = walBytesPerSecond === null
    ? ""
    : `source generates ${formatBytes(walBytesPerSecond)}/s of WAL · `;
  const left = style.bold(printable(title));
  const right = `${wal}${time}`;
  const gap = columns - displayWidth(left) - displayWidth(right);
  if (gap >= 2) return left + " ".repeat(gap) + style.dim(right);
  const shorter = columns - displayWidth(left) - displayWidth(time);
  return shorter >= 2 ? left + " ".repeat(shorter) + style.dim(time) : left;
}

interface Room {
  readonly style: Style;
  readonly columns: number;
  readonly room: number;
}

function streamLines(streams: readonly WatchedStream[], { style, columns, room }: Room): string[] {
  if (streams.length === 0) {
    return [style.dim("no replication between these servers")].slice(0, room);
  }
  const worst = [...streams].sort((a, b) => rank(a.tone) - rank(b.tone));
  const several = streams.length > room;
  const shown = several ? worst.slice(0, Math.max(1, room - 1)) : streams;
  const labelColumns = Math.min(
    Math.max(...shown.map(({ label }) => displayWidth(printable(label)))),
    Math.max(8, Math.floor(columns / 3)),
  );
  const stateColumns = Math.max(...shown.map(({ state }) => state.length));
  const lagColumns = Math.max(...shown.map((stream) => lagText(stream).length));
  const roomy = shown.length * 3 + 1 <= room;
  const lines = shown.flatMap((stream) => {
    const label = padEnd(truncate(printable(stream.label), labelColumns), labelColumns);
    const sign = paint(stream.tone, style)(
      `${signs[stream.tone]} ${padEnd(stream.state, stateColumns)}`,
    );
    const lag = padStart(lagText(stream), lagColumns);
    const whole = `${style.bold(label)}  ${sign}  ${lag}`;
    const line = displayWidth(whole) <= columns
      ? whole
      : `${style.bold(label)} ${paint(stream.tone, style)(signs[stream.tone])} ${lagText(stream)}`;
    const details = detailText(stream);
    const chartColumns = Math.min(maxChartColumns, columns - 4);
    if (roomy && chartColumns >= minChartColumns && stream.history.length > 1) {
      return [
        line,
        `  ${style.cyan(sparkline(stream.history, chartColumns))}`,
        style.dim(`  ${details}`),
      ];
    }
    const rest = columns - displayWidth(line) - 2;
    if (rest < minChartColumns) return [line];
    const chart = sparkline(stream.history, Math.min(maxChartColumns, Math.floor(rest / 2)));
    const left = rest - displayWidth(chart) - 2;
    return [
      `${line}  ${style.cyan(chart)}${left >= 12 ? style.dim(`  ${truncate(details, left)}`) : ""}`,
    ];
  });
  if (several && room > 1) {
    lines.push(style.dim(`and ${plural(streams.length - shown.length, "more stream")}`));
  }
  return lines;
}

/** Less is not shown. */
const noticeableSeconds = 0.05;
/** From here on it matters whether the target is catching up. */
const lateSeconds = 1;

/** `1.2 MB, 0.4 s behind` */
function lagText({ lagBytes, lagSeconds }: WatchedStream): string {
  if (lagBytes === null && lagSeconds === null) return "lag unknown";
  if (lagBytes === 0) return "caught up";
  const parts = [
    ...(lagBytes === null ? [] : [formatBytes(lagBytes)]),
    ...(lagSeconds === null || lagSeconds < noticeableSeconds
      ? []
      : [formatDuration(lagSeconds * 1000)]),
  ];
  return `${parts.join(", ")} behind`;
}

function detailText(
  { appliedBytesPerSecond, catchUpSeconds, lagBytes, lagSeconds }: WatchedStream,
): string {
  const applied = appliedBytesPerSecond === null
    ? []
    : [`applies ${formatBytes(appliedBytesPerSecond)}/s`];
  const caught = lagBytes === null || lagBytes === 0
    ? []
    : catchUpSeconds === null
    ? appliedBytesPerSecond === null || (lagSeconds ?? Infinity) < lateSeconds
      ? []
      : ["not catching up"]
    : [`will catch up in ${formatDuration(catchUpSeconds * 1000)}`];
  return [...applied, ...caught].join(" · ");
}

function findingLines(
  findings: readonly WatchedFinding[],
  { style, columns, room }: Room,
): string[] {
  if (findings.length === 0 || room < 1) return [];
  const full = findings.flatMap(({ tone, text, remedy }) => [
    ...wrap(`${signs[tone]} ${printable(text)}`, columns).map(paint(tone, style)),
    ...wrap(`→ ${printable(remedy)}`, columns - 2).map((line) => style.dim(`  ${line}`)),
  ]);
  if (full.length + 1 <= room) return ["", ...full];
  const short = findings.map(({ tone, text }) =>
    paint(tone, style)(truncate(`${signs[tone]} ${printable(text)}`, columns))
  );
  if (short.length <= room) return short;
  return [
    ...short.slice(0, room - 1),
    style.dim(`and ${plural(findings.length - room + 1, "more finding")}`),
  ];
}

const signs: Readonly<Record<Tone, string>> = { good: "●", warn: "!", bad: "✗" };

function paint(tone: Tone, style: Style): (text: string) => string {
  return tone === "good" ? style.green : tone === "warn" ? style.yellow : style.red;
}

function rank(tone: Tone): number {
  return tone === "bad" ? 0 : tone === "warn" ? 1 : 2;
}
