import {
  describeRetry,
  formatBytes,
  formatCount,
  formatDuration,
  type LogLevel,
  plural,
  type RunEvent,
  stepTitle,
} from "../core/internal.ts";
import type { ProgressDisplay } from "./live_progress.ts";
import { applyFacts } from "./apply_panel.ts";
import { isShown } from "./json_lines.ts";
import {
  copiedBytes,
  copiedFraction,
  initialProgress,
  measureSteps,
  pace,
  type ProgressState,
  reduce,
} from "./progress_state.ts";
import { printable } from "./text.ts";

/** Options of {@linkcode plainLines}. */
export interface PlainLinesOptions {
  readonly writeLine: (line: string) => void;
  readonly level: LogLevel;
  /** A monotonic clock, in milliseconds. */
  readonly now: () => number;
  /** The time of day, which begins each line. */
  readonly date: () => Date;
}

const progressEveryMs = 5_000;
const applyEveryMs = 30_000;

/**
 * Progress as lines for a log or a pipe, each with its time in UTC: one per finished step and
 * table, and a summary every few seconds.
 */
export function plainLines(options: PlainLinesOptions): ProgressDisplay {
  const { level, now } = options;
  const writeLine = (line: string) =>
    options.writeLine(`${options.date().toISOString().slice(11, 19)}Z ${line}`);
  let state = initialProgress(now());
  let lastProgressMs = now();
  const lastApplyMs = new Map<string, number>();

  return {
    take(event) {
      state = reduce(state, event, now());
      const described = isShown(event, level) ? describe(event) : undefined;
      if (described !== undefined) writeLine(printable(described));
      if (event.kind === "apply-progress" && isShown(infoEvent, level)) {
        const lastMs = lastApplyMs.get(event.stream) ?? -Infinity;
        if (now() - lastMs < applyEveryMs) return;
        lastApplyMs.set(event.stream, now());
        const applying = state.applying.filter(({ stream }) => stream === event.stream);
        for (const each of applying) {
          writeLine(printable(`${each.database}: ${applyFacts(each, now()).join(", ")}`));
        }
      }
      // at the level debug, each is described on its own
      const line = described === undefined ? progressLine(event, state, now()) : undefined;
      if (line === undefined || !isShown(infoEvent, level)) return;
      if (now() - lastProgressMs < progressEveryMs) return;
      lastProgressMs = now();
      writeLine(printable(line));
    },
    print: writeLine,
    pause() {},
    [Symbol.dispose]() {},
  };
}

const infoEvent: RunEvent = { kind: "info", message: "" };

/** The summary that an event may change; undefined for events that change none. */
function progressLine(
  event: RunEvent,
  state: ProgressState,
  nowMs: number,
): string | undefined {
  switch (event.kind) {
    case "table-progress":
    case "table-finished":
      return copyLine(state, nowMs);
    case "step-progress":
      return stepProgressLine(event, state, nowMs);
    default:
      return undefined;
  }
}

/** `Compare rows (shop): 3 of 12, 120 MB of 280 MB, 43 %, 12.0 s left` */
function stepProgressLine(
  event: Extract<RunEvent, { readonly kind: "step-progress" }>,
  state: ProgressState,
  nowMs: number,
): string | undefined {
  const measured = measureSteps(state, nowMs, { only: event });
  if (event.total <= 1 && measured === undefined) return undefined;
  return [
    `${stepTitle(event.step)}${ofDatabase(event)}: ${formatCount(event.done)} of ${
      formatCount(event.total)
    }`,
    ...(measured === undefined ? [] : [
      `${formatBytes(measured.doneBytes)} of ${formatBytes(measured.totalBytes)}`,
      `${Math.floor(measured.fraction * 100)} %`,
    ]),
    ...(measured?.remainingMs === undefined
      ? []
      : [`${formatDuration(measured.remainingMs)} left`]),
  ].join(", ");
}

/** `copied 120 MB, 43 %, 3 of 12 tables, 35.1 MB/s, 12.0 s left` */
function copyLine(state: ProgressState, nowMs: number): string {
  const rate = pace(state, nowMs);
  return [
    `copied ${formatBytes(copiedBytes(state))}`,
    `${Math.floor(copiedFraction(state) * 100)} %`,
    `${formatCount(state.finishedTables)} of ${plural(state.plannedTables, "table")}`,
    ...(rate === undefined ? [] : [`${formatBytes(rate.bytesPerSecond)}/s`]),
    ...(rate?.remainingMs === undefined ? [] : [`${formatDuration(rate.remainingMs)} left`]),
  ].join(", ");
}

function describe(event: RunEvent): string | undefined {
  switch (event.kind) {
    case "step-started":
      return `${stepTitle(event.step)}${ofDatabase(event)} …`;
    case "step-finished":
      return `${stepTitle(event.step)}${ofDatabase(event)}: ${
        event.failed ? event.summary ?? "failed" : "done"
      } ${event.failed ? "after" : "in"} ${formatDuration(event.ms)}` +
        (event.failed || event.summary === undefined ? "" : `, ${event.summary}`);
    case "database-planned":
      return `${event.database}: ${plural(event.tables, "table")}, ${formatBytes(event.bytes)}`;
    case "table-started":
      return `${event.database}: copying ${event.table}, ${formatBytes(event.bytes)} on disk`;
    case "table-finished":
      return `${event.database}: copied ${event.table}, ${plural(event.rows, "row")}, ` +
        `${formatBytes(event.bytes)} in ${formatDuration(event.ms)}`;
    case "step-progress":
      return `${stepTitle(event.step)}${ofDatabase(event)}: ${formatCount(event.done)} of ` +
        `${formatCount(event.total)}${event.current === undefined ? "" : `, ${event.current}`}`;
    case "warning": {
      const where = [event.side, event.object].filter((part) => part !== undefined).join(", ");
      return `warning: ${where === "" ? "" : `${where}: `}${event.message}` +
        (event.remedy === undefined ? "" : ` → ${event.remedy}`);
    }
    case "retry":
      return `retry ${event.attempt}: ${describeRetry(event)}; retrying in ${
        formatDuration(event.delayMs)
      }`;
    case "governor":
      return `${event.database}: ${event.message}`;
    case "info":
      return event.message + (event.remedy === undefined ? "" : ` → ${event.remedy}`);
    case "already-copied": // the ledger reports it in words
    case "table-progress":
    case "apply-progress":
      return undefined;
  }
}

function ofDatabase({ database }: { readonly database?: string }): string {
  return database === undefined ? "" : ` (${database})`;
}
