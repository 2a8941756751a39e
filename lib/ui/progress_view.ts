import { formatBytes, formatCount, formatDuration, plural, stepTitle } from "../core/internal.ts";
import { applyPanel } from "./apply_panel.ts";
import { bar, percent } from "./bar.ts";
import { pausePanel } from "./pause_panel.ts";
import {
  copiedBytes,
  copiedFraction,
  measureSteps,
  pace,
  type ProgressState,
  type RunningTable,
  type StepState,
  tableFraction,
} from "./progress_state.ts";
import { makeStyle, type Style } from "./style.ts";
import { displayWidth } from "./display_width.ts";
import { padEnd, padStart, printable, truncate, wrap } from "./text.ts";

/** The terminal that a view is drawn for. */
export interface ViewSize {
  readonly columns: number;
  readonly rows: number;
  readonly color: boolean;
}

/** Spinner frames, ten per second. */
const spinner = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"] as const;
const titleColumns = 24;
const maxBarColumns = 30;

/**
 * The live view as lines that fit the terminal: steps, running tables, overall bar. When space is
 * short, finished steps are dropped first, then tables.
 */
export function render(
  state: ProgressState,
  { columns, rows, color, nowMs }: ViewSize & { readonly nowMs: number },
): string[] {
  const style = makeStyle(color);
  const view = { state, style, columns, nowMs };
  const overall = overallLines(view);
  const budget = Math.max(1, rows - 1 - overall.length);
  const running = state.steps.filter(({ ms }) => ms === undefined).map((step) =>
    stepLine(step, view)
  );
  const tables = tableLines(view, Math.max(0, budget - running.length));
  const left = Math.max(0, budget - running.length - tables.length);
  const finished = state.steps.filter(({ ms }) => ms !== undefined).map((step) =>
    stepLine(step, view)
  );
  const shownFinished = left === 0 ? [] : finished.slice(-left);
  return [...shownFinished, ...running, ...tables, ...overall]
    .slice(-Math.max(1, rows - 1))
    .map((line) => truncate(line, columns));
}

interface View {
  readonly state: ProgressState;
  readonly style: Style;
  readonly columns: number;
  readonly nowMs: number;
}

function stepLine(step: StepState, { state, style, nowMs }: View): string {
  const severalDatabases = state.databases > 1;
  const title = stepTitle(step.step) +
    (severalDatabases && step.database !== undefined ? ` (${printable(step.database)})` : "");
  const ms = step.ms ?? nowMs - step.startedAtMs;
  const time = padStart(formatDuration(ms), 10);
  const padded = padEnd(title, titleColumns);
  if (step.ms !== undefined) {
    const words = step.summary ?? (step.hasFailed ? "failed" : undefined);
    const summary = words === undefined ? "" : style.dim(`  ${printable(words)}`);
    const mark = step.hasFailed ? style.red("✗") : style.green("✓");
    return `${mark} ${padded}${style.dim(time)}${summary}`;
  }
  const frame = spinner[Math.floor(nowMs / 100) % spinner.length] ?? "";
  const count = step.total === undefined
    ? ""
    : `  ${formatCount(step.done ?? 0)} of ${formatCount(step.total)}`;
  const current = step.current === undefined ? "" : style.dim(`  ${printable(step.current)}`);
  return `${style.cyan(frame)} ${style.bold(padded)}${time}${count}${current}`;
}

function tableLines(view: View, budget: number): string[] {
  const { state, style } = view;
  const tables = [...state.running].sort((a, b) => b.plannedBytes - a.plannedBytes);
  if (tables.length === 0 || budget === 0) return [];
  const shown = tables.length > budget ? tables.slice(0, budget - 1) : tables;
  const names = shown.map((table) => tableName(table, state));
  const nameColumns = Math.min(
    Math.max(...names.map(displayWidth), 8),
    Math.max(8, Math.floor(view.columns / 3)),
  );
  const lines = shown.map((table, index) => {
    const fraction = tableFraction(state, table);
    const name = padEnd(truncate(names[index] ?? "", nameColumns), nameColumns);
    const size = padStart(formatBytes(table.copiedBytes), 8);
    const barColumns = barWidth(view.columns, 4 + nameColumns + 2 + 5 + 2 + 8);
    const drawn = barColumns === 0 ? "" : `${style.cyan(bar(fraction, barColumns))} `;
    return `    ${name}  ${drawn}${percent(fraction)} ${size}`;
  });
  if (shown.length < tables.length) {
    lines.push(style.dim(`    and ${plural(tables.length - shown.length, "more table")}`));
  }
  return lines;
}

function tableName({ database, table }: RunningTable, { databases }: ProgressState): string {
  return printable(databases > 1 ? `${database}: ${table}` : table);
}

function overallLines({ state, style, columns, nowMs }: View): string[] {
  if (state.pause !== undefined) {
    return ["", ...pausePanel(state.pause, { columns, style, nowMs })];
  }
  if (state.applying.length > 0) {
    return ["", ...applyPanel(state.applying, { columns, style, nowMs })];
  }
  if (state.plannedTables === 0) return stepBar({ state, style, columns, nowMs });
  const fraction = copiedFraction(state);
  const rate = state.outage === undefined ? pace(state, nowMs) : undefined;
  const facts = [
    `${formatBytes(copiedBytes(state))}`,
    `${formatCount(state.finishedTables)} of ${plural(state.plannedTables, "table")}`,
    ...(rate === undefined || fraction >= 1 ? [] : [`${formatBytes(rate.bytesPerSecond)}/s`]),
    ...(rate?.remainingMs === undefined || fraction >= 1
      ? []
      : [`${formatDuration(rate.remainingMs)} left`]),
    ...(state.retries === 0 ? [] : [plural(state.retries, "retry", "retries")]),
  ];
  const text = facts.join(" · ");
  const warnings = state.warnings === 0
    ? ""
    : ` · ${style.yellow(`! ${plural(state.warnings, "warning")}`)}`;
  const line = `${style.bold(percent(fraction))}  ${text}${warnings}`;
  const barColumns = barWidth(columns, displayWidth(line) + 1);
  const outage = state.outage === undefined ? [] : [style.yellow(
    `waiting, ${formatDuration(nowMs - state.outage.sinceMs)}: ${printable(state.outage.what)}`,
  )];
  const source = fraction >= 1 ? [] : [
    ...outage,
    ...Object.values(state.throttle).map((message) => style.yellow(printable(message))),
  ];
  if (barColumns > 0) return ["", ...source, `${style.green(bar(fraction, barColumns))} ${line}`];
  return ["", ...source, ...wrap(line.trimStart(), columns)];
}

/** The bar of running steps that are measured in bytes. */
function stepBar({ state, style, columns, nowMs }: View): string[] {
  const measured = measureSteps(state, nowMs);
  if (measured === undefined) return [];
  const { doneBytes, totalBytes, fraction, remainingMs } = measured;
  const facts = [
    `${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`,
    ...(remainingMs === undefined ? [] : [`${formatDuration(remainingMs)} left`]),
  ];
  const line = `${style.bold(percent(fraction))}  ${facts.join(" · ")}`;
  const barColumns = barWidth(columns, displayWidth(line) + 1);
  return ["", barColumns === 0 ? line : `${style.green(bar(fraction, barColumns))} ${line}`];
}

/** The columns left for a bar; 0 when it would be too narrow to read. */
function barWidth(columns: number, taken: number): number {
  const width = Math.min(maxBarColumns, columns - taken - 1);
  return width < 5 ? 0 : width;
}
