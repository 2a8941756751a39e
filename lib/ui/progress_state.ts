import { type ApplyingStream, nextApplying } from "./apply_panel.ts";
import { nextPause, type PauseState } from "./pause_panel.ts";
import {
  describeRetry,
  type RunEvent,
  type StepName,
  type ThrottleSubject,
} from "../core/internal.ts";

/** A table being copied. */
export interface RunningTable {
  readonly database: string;
  readonly table: string;
  /** Its size on the source's disk, as planned. */
  readonly plannedBytes: number;
  /** COPY bytes so far. */
  readonly copiedBytes: number;
  readonly startedAtMs: number;
}

/** A step that has started. */
export interface StepState {
  readonly step: StepName;
  readonly database: string | undefined;
  readonly startedAtMs: number;
  /** Undefined while it runs. */
  readonly ms: number | undefined;
  /** Whether it ended with an error. */
  readonly hasFailed: boolean;
  readonly summary: string | undefined;
  readonly done: number | undefined;
  readonly total: number | undefined;
  readonly current: string | undefined;
  /** How much of `totalBytes` is done; undefined for steps that are not measured in bytes. */
  readonly bytes: number | undefined;
  readonly totalBytes: number | undefined;
}

/** How much had been copied at some point, to compute the rate. */
interface Sample {
  readonly atMs: number;
  readonly bytes: number;
  readonly fraction: number;
}

/** Everything the live view shows; a plain value computed by {@linkcode reduce}. */
export interface ProgressState {
  readonly startedAtMs: number;
  readonly steps: readonly StepState[];
  /** Size of all tables in scope, without what earlier runs have copied. */
  readonly plannedBytes: number;
  readonly plannedTables: number;
  readonly databases: number;
  readonly running: readonly RunningTable[];
  /** Including those of earlier runs. */
  readonly finishedTables: number;
  readonly finishedRows: number;
  /** COPY bytes of finished tables. */
  readonly finishedBytes: number;
  /** Planned bytes of finished tables. */
  readonly finishedPlannedBytes: number;
  readonly warnings: number;
  readonly retries: number;
  /** Since when nothing has arrived because of a failure that is retried, and which. */
  readonly outage: { readonly sinceMs: number; readonly what: string } | undefined;
  /** Load on the source: why the copy is throttled, who waits for it, how old its snapshot is. */
  readonly throttle: Readonly<Partial<Record<ThrottleSubject, string>>>;
  readonly samples: readonly Sample[];
  /** How long writers wait for a cutover; undefined while no one waits for it. */
  readonly pause: PauseState | undefined;
  /** Streams whose changes this process applies. */
  readonly applying: readonly ApplyingStream[];
}

/** The state before the first event. */
export function initialProgress(nowMs: number): ProgressState {
  return {
    startedAtMs: nowMs,
    steps: [],
    plannedBytes: 0,
    plannedTables: 0,
    databases: 0,
    running: [],
    finishedTables: 0,
    finishedRows: 0,
    finishedBytes: 0,
    finishedPlannedBytes: 0,
    warnings: 0,
    retries: 0,
    outage: undefined,
    throttle: {},
    samples: [],
    pause: undefined,
    applying: [],
  };
}

/** The state after an event. */
export function reduce(state: ProgressState, event: RunEvent, nowMs: number): ProgressState {
  switch (event.kind) {
    case "step-started":
      return { ...state, steps: [...state.steps, startedStep(event, nowMs)] };
    case "step-progress":
      return {
        ...state,
        steps: changeStep(state.steps, event, ({ startedAtMs }) => ({
          ...startedStep(event, startedAtMs),
          done: event.done,
          total: event.total,
          current: event.current,
          bytes: event.bytes,
          totalBytes: event.totalBytes,
        }), nowMs),
      };
    case "step-finished":
      return {
        ...state,
        steps: changeStep(
          state.steps,
          event,
          (step) => ({
            ...step,
            ms: event.ms,
            hasFailed: event.failed === true,
            summary: event.summary,
            current: undefined,
          }),
          nowMs,
        ),
      };
    case "database-planned":
      return {
        ...state,
        databases: state.databases + 1,
        plannedBytes: state.plannedBytes + event.bytes,
        plannedTables: state.plannedTables + event.tables,
      };
    case "already-copied":
      return {
        ...state,
        plannedBytes: Math.max(0, state.plannedBytes - event.bytes),
        finishedTables: state.finishedTables + event.tables,
      };
    case "table-started":
      return {
        ...state,
        running: [
          ...state.running.filter((each) => !isSame(each, event)),
          {
            database: event.database,
            table: event.table,
            plannedBytes: event.bytes,
            copiedBytes: 0,
            startedAtMs: nowMs,
          },
        ],
      };
    case "table-progress":
      return sampled({
        ...state,
        outage: undefined,
        running: state.running.map((each) =>
          isSame(each, event) ? { ...each, copiedBytes: event.bytes } : each
        ),
      }, nowMs);
    case "table-finished": {
      const table = state.running.find((each) => isSame(each, event));
      return sampled({
        ...state,
        outage: undefined,
        running: state.running.filter((each) => !isSame(each, event)),
        finishedTables: state.finishedTables + 1,
        finishedRows: state.finishedRows + event.rows,
        finishedBytes: state.finishedBytes + event.bytes,
        finishedPlannedBytes: state.finishedPlannedBytes + (table?.plannedBytes ?? 0),
      }, nowMs);
    }
    case "warning":
      return { ...state, warnings: state.warnings + 1 };
    case "retry":
      return {
        ...state,
        retries: state.retries + 1,
        outage: { sinceMs: state.outage?.sinceMs ?? nowMs, what: describeRetry(event) },
      };
    case "governor":
      return { ...state, throttle: throttleAfter(state.throttle, event) };
    case "cutover-pause":
      return { ...state, pause: nextPause(state.pause, event, nowMs) };
    case "apply-progress":
      return { ...state, applying: nextApplying(state.applying, event, nowMs) };
    case "info":
    case "replication-lag":
    case "work-finished": // already covered by tables and steps
      return state;
  }
}

function throttleAfter(
  before: ProgressState["throttle"],
  { about, message, over }: Extract<RunEvent, { readonly kind: "governor" }>,
): ProgressState["throttle"] {
  const { [about]: _, ...others } = before;
  return over ? others : { ...others, [about]: message };
}

/** COPY bytes moved so far, running tables included. */
export function copiedBytes({ finishedBytes, running }: ProgressState): number {
  return running.reduce((sum, table) => sum + table.copiedBytes, finishedBytes);
}

/**
 * The fraction of the data copied, from 0 to 1. Planned sizes are on disk, while progress counts
 * COPY bytes, which may be half or three times as many; finished tables provide the ratio for the
 * running ones.
 */
export function copiedFraction(state: ProgressState): number {
  if (state.plannedTables > 0 && state.finishedTables >= state.plannedTables) return 1;
  if (state.plannedBytes <= 0) return 0;
  const ratio = copyRatio(state);
  const done = state.running.reduce(
    (sum, table) => sum + Math.min(table.plannedBytes * 0.99, table.copiedBytes / ratio),
    state.finishedPlannedBytes,
  );
  return Math.min(0.999, done / state.plannedBytes);
}

/** The fraction of a running table copied, from 0 to 1. */
export function tableFraction(state: ProgressState, table: RunningTable): number {
  if (table.plannedBytes <= 0) return 0;
  return Math.min(0.99, table.copiedBytes / copyRatio(state) / table.plannedBytes);
}

/**
 * Bytes per second over about the last ten seconds, and the estimated time remaining; undefined
 * while unknown.
 */
export function pace(
  state: ProgressState,
  nowMs: number,
): { readonly bytesPerSecond: number; readonly remainingMs: number | undefined } | undefined {
  const first = state.samples[0];
  if (first === undefined || nowMs - first.atMs < 500) return undefined;
  const ms = nowMs - first.atMs;
  const fraction = copiedFraction(state);
  const gained = fraction - first.fraction;
  return {
    bytesPerSecond: (copiedBytes(state) - first.bytes) / (ms / 1000),
    remainingMs: gained > 0 ? (1 - fraction) / gained * ms : undefined,
  };
}

/** How far the running steps that are measured in bytes are. */
export interface MeasuredSteps {
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** From 0 to 1. */
  readonly fraction: number;
  /** Undefined while unknown. */
  readonly remainingMs: number | undefined;
}

/** Sums up the running steps that are measured in bytes; undefined if there are none. */
export function measureSteps(
  state: ProgressState,
  nowMs: number,
  { only }: { readonly only?: StepKey } = {},
): MeasuredSteps | undefined {
  const steps = state.steps.filter((each) =>
    each.ms === undefined && (each.totalBytes ?? 0) > 0 &&
    (only === undefined || each.step === only.step && each.database === only.database)
  );
  const sum = (of: (step: StepState) => number | undefined) =>
    steps.reduce((total, step) => total + (of(step) ?? 0), 0);
  const totalBytes = sum((step) => step.totalBytes);
  if (totalBytes === 0) return undefined;
  const doneBytes = Math.min(totalBytes, sum(({ bytes }) => bytes));
  const ms = nowMs - Math.min(...steps.map(({ startedAtMs }) => startedAtMs));
  const isKnown = doneBytes > 0 && doneBytes < totalBytes && ms >= minMsForEstimate;
  return {
    doneBytes,
    totalBytes,
    fraction: doneBytes / totalBytes,
    remainingMs: isKnown ? (totalBytes - doneBytes) / doneBytes * ms : undefined,
  };
}

const minMsForEstimate = 2_000;

const minBytesForRatio = 1 << 20;

function copyRatio({ finishedBytes, finishedPlannedBytes }: ProgressState): number {
  if (finishedPlannedBytes < minBytesForRatio || finishedBytes === 0) return 1;
  return finishedBytes / finishedPlannedBytes;
}

const sampleEveryMs = 500;
const sampleWindowMs = 10_000;

function sampled(state: ProgressState, nowMs: number): ProgressState {
  const last = state.samples.at(-1);
  if (last !== undefined && nowMs - last.atMs < sampleEveryMs) return state;
  const sample = { atMs: nowMs, bytes: copiedBytes(state), fraction: copiedFraction(state) };
  const recent = state.samples.filter(({ atMs }) => nowMs - atMs <= sampleWindowMs);
  return { ...state, samples: [...recent, sample] };
}

interface StepKey {
  readonly step: StepName;
  readonly database?: string;
}

function startedStep({ step, database }: StepKey, startedAtMs: number): StepState {
  return {
    step,
    database,
    startedAtMs,
    ms: undefined,
    hasFailed: false,
    summary: undefined,
    done: undefined,
    total: undefined,
    current: undefined,
    bytes: undefined,
    totalBytes: undefined,
  };
}

/** Changes the running step that the event refers to, or adds it if its start was not reported. */
function changeStep(
  steps: readonly StepState[],
  key: StepKey,
  change: (step: StepState) => StepState,
  nowMs: number,
): readonly StepState[] {
  const at = steps.findLastIndex((each) =>
    each.step === key.step && each.database === key.database && each.ms === undefined
  );
  const step = steps[at];
  if (step === undefined) return [...steps, change(startedStep(key, nowMs))];
  return steps.with(at, change(step));
}

function isSame(
  a: { readonly database: string; readonly table: string },
  b: { readonly database: string; readonly table: string },
): boolean {
  return a.database === b.database && a.table === b.table;
}
