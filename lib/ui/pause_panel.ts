import { formatBytes, formatDuration, plural, type RunEvent } from "../core/internal.ts";
import { bar } from "./bar.ts";
import type { Style } from "./style.ts";
import { displayWidth } from "./display_width.ts";
import { wrap } from "./text.ts";

/** What users of the databases experience during a cutover, and when it was measured. */
export interface PauseState extends Omit<Extract<RunEvent, { kind: "cutover-pause" }>, "kind"> {
  readonly atMs: number;
  /** The most sessions that waited at once so far. */
  readonly maxWaiting: number;
}

/** The state after another measurement. */
export function nextPause(
  before: PauseState | undefined,
  { kind: _, ...event }: Extract<RunEvent, { kind: "cutover-pause" }>,
  nowMs: number,
): PauseState {
  return { ...event, atMs: nowMs, maxWaiting: Math.max(before?.maxWaiting ?? 0, event.waiting) };
}

const maxBarColumns = 40;
const minBarColumns = 5;
/** Shares of the limit from which the pause is shown in yellow and red. */
const warnShare = 0.5;
const alarmShare = 0.8;

/**
 * The pause against its limit, the sessions that wait, and how far the other side is behind.
 * Between measurements the pause is extrapolated. Pure.
 */
export function pausePanel(
  pause: PauseState,
  { columns, style, nowMs }: {
    readonly columns: number;
    readonly style: Style;
    readonly nowMs: number;
  },
): string[] {
  const { maxPauseMs, waiting, longestWaitMs, lagBytes, isOver } = pause;
  if (isOver) {
    return [
      `${style.green("✓")} writers waited ${style.bold(formatDuration(pause.pauseMs))} of ${
        formatDuration(maxPauseMs)
      }; ${plural(pause.maxWaiting, "session")} at once at most`,
    ];
  }
  const pauseMs = pause.pauseMs + Math.max(0, nowMs - pause.atMs);
  const share = pauseMs / maxPauseMs;
  const paint = share >= alarmShare ? style.red : share >= warnShare ? style.yellow : style.green;
  const text = `Writers wait: ${formatDuration(pauseMs)} of ${formatDuration(maxPauseMs)}`;
  const barColumns = Math.min(maxBarColumns, columns - displayWidth(text) - 2);
  const facts = [
    waiting === 0 ? "no session waits" : `${plural(waiting, "session")} waiting`,
    ...(waiting === 0 ? [] : [`the longest for ${formatDuration(longestWaitMs)}`]),
    lagBytes === 0 ? "no lag" : `${formatBytes(lagBytes)} lag`,
  ].join(" · ");
  return [
    style.bold(text) +
    (barColumns < minBarColumns ? "" : `  ${paint(bar(Math.min(1, share), barColumns))}`),
    ...wrap(facts, columns),
  ];
}
