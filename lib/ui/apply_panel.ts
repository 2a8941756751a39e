import {
  formatBytes,
  formatCount,
  formatDuration,
  plural,
  type RunEvent,
} from "../core/internal.ts";
import type { Style } from "./style.ts";
import { printable, wrap } from "./text.ts";

type ApplyEvent = Extract<RunEvent, { readonly kind: "apply-progress" }>;

/** One stream whose changes the process applies. */
export interface ApplyingStream extends Omit<ApplyEvent, "kind"> {
  /** When it was measured. */
  readonly atMs: number;
  /** Earlier measurements of about the last ten seconds, for the rate. */
  readonly samples: readonly ApplySample[];
}

interface ApplySample {
  readonly atMs: number;
  readonly transactions: number;
  readonly changes: number;
}

const windowMs = 10_000;

/** The streams after another measurement. */
export function nextApplying(
  before: readonly ApplyingStream[],
  { kind: _, ...event }: ApplyEvent,
  nowMs: number,
): readonly ApplyingStream[] {
  const at = before.findIndex(({ stream }) => stream === event.stream);
  const { transactions, changes } = event;
  const samples = [...before[at]?.samples ?? [], { atMs: nowMs, transactions, changes }]
    .filter(({ atMs }) => nowMs - atMs <= windowMs);
  const next = { ...event, atMs: nowMs, samples };
  return at < 0 ? [...before, next] : before.with(at, next);
}

/** Applied per second over about the last ten seconds; undefined after one measurement. */
export function applyRate(
  { samples, transactions, changes, atMs }: ApplyingStream,
): { readonly transactions: number; readonly changes: number } | undefined {
  const [first] = samples;
  if (first === undefined || atMs <= first.atMs) return undefined;
  const seconds = (atMs - first.atMs) / 1000;
  return {
    transactions: (transactions - first.transactions) / seconds,
    changes: (changes - first.changes) / seconds,
  };
}

/** Lag, rate, amount and age of what was applied, as phrases. Pure. */
export function applyFacts(stream: ApplyingStream, nowMs: number): readonly string[] {
  const { lagBytes, transactions, changes, idleMs, isStopped } = stream;
  // what the slot has not confirmed grows, and will not be applied: after a switch the target is
  // ahead of the source
  const rate = isStopped ? undefined : applyRate(stream);
  return [
    isStopped
      ? "stopped by another command, such as a cutover"
      : lagBytes === undefined
      ? "lag unknown"
      : lagBytes === 0
      ? "no lag"
      : `${formatBytes(lagBytes)} behind`,
    ...(rate === undefined ? [] : [
      `${formatCount(Math.round(rate.transactions))} transactions/s`,
      `${formatCount(Math.round(rate.changes))} changes/s`,
    ]),
    `${plural(transactions, "transaction")}, ${plural(changes, "change")} applied`,
    ...(idleMs === undefined
      ? []
      : [`the last ${formatDuration(idleMs + Math.max(0, nowMs - stream.atMs))} ago`]),
  ];
}

/** The streams whose changes the process applies, one paragraph each. Pure. */
export function applyPanel(
  streams: readonly ApplyingStream[],
  { columns, style, nowMs }: {
    readonly columns: number;
    readonly style: Style;
    readonly nowMs: number;
  },
): string[] {
  return [
    ...streams.flatMap((stream) => [
      `${style.bold(printable(stream.database))}  ${style.dim(printable(stream.stream))}`,
      ...wrap(applyFacts(stream, nowMs).join(" · "), columns),
    ]),
    style.dim("Ctrl-C stops applying changes; the same command resumes."),
  ];
}
