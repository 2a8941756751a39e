/**
 * Records a run for its report: forwards events, and keeps steps, tables, retries and warnings.
 *
 * @module
 */
import {
  type EventSink,
  InterruptedError,
  type RunEvent,
  type StepName,
  type TableName,
} from "../../core/internal.ts";
import type { RetryReport, ThrottleReport, TimelineEntry } from "./init_report.ts";
import type { StepPrediction, StepReport, Warning } from "./report.ts";

/** Which step, and of which database. */
export interface StepOptions<Result> {
  readonly step: StepName;
  readonly database?: string;
  /** A few words about the outcome. */
  readonly summarize?: (result: Result) => string | undefined;
}

/** A copied table, as its event reported it. */
export type FinishedTable = Omit<Extract<RunEvent, { readonly kind: "table-finished" }>, "kind">;

/** A table of one of the databases that a run copies. */
export interface TableOfRun extends TableName {
  readonly database: string;
}

/** Forwards events and keeps what the report needs. */
export class Recorder {
  readonly steps: StepReport[] = [];
  readonly warnings: Warning[] = [];
  readonly timeline: TimelineEntry[] = [];
  readonly throttle: ThrottleReport[] = [];
  readonly retries: RetryReport[] = [];
  readonly tables: FinishedTable[] = [];
  /** Databases whose `already-copied` was reported. */
  readonly #resumed = new Set<string>();
  readonly #copied = new Map<string, { readonly rows: number; readonly bytes: number }>();
  #predicted: readonly StepPrediction[] = [];
  readonly #start = performance.now();
  readonly #sink: EventSink;

  constructor(sink: EventSink) {
    this.#sink = sink;
  }

  /** The sink for everything that the run calls. */
  readonly events: EventSink = (event: RunEvent) => {
    this.#keep(event);
    this.#sink(event);
  };

  /** Counts a part of a table that this run has copied. */
  copied(
    part: TableOfRun,
    { rows, bytes }: { readonly rows: number; readonly bytes: number },
  ): void {
    const sum = this.copiedOf(part) ?? { rows: 0, bytes: 0 };
    this.#copied.set(runKey(part), { rows: sum.rows + rows, bytes: sum.bytes + bytes });
  }

  /** What this run has copied of a table, in all its attempts; undefined if nothing. */
  copiedOf(
    table: TableOfRun,
  ): { readonly rows: number; readonly bytes: number } | undefined {
    return this.#copied.get(runKey(table));
  }

  /** Reports what earlier runs have copied of a database: once, not in each of its attempts. */
  alreadyCopied(
    copied: Omit<Extract<RunEvent, { readonly kind: "already-copied" }>, "kind">,
  ): void {
    if (this.#resumed.has(copied.database)) return;
    this.#resumed.add(copied.database);
    if (copied.tables + copied.bytes > 0) this.#sink({ kind: "already-copied", ...copied });
  }

  /** Reports these durations next to those of the steps, also of those that have ended. */
  predict(steps: readonly StepPrediction[]): void {
    this.#predicted = steps;
    for (const [index, ended] of this.steps.entries()) {
      this.steps[index] = { ...ended, ...this.#prediction(ended.step, ended.database) };
    }
  }

  #keep(event: RunEvent): void {
    switch (event.kind) {
      case "warning": {
        const { kind: _, ...warning } = event;
        // an attempt that is repeated finds the same again
        if (!this.warnings.some((other) => sameWarning(other, warning))) {
          this.warnings.push(warning);
        }
        break;
      }
      case "governor": {
        const { kind: _, ...change } = event;
        this.throttle.push({ ...change, startMs: this.#now() });
        break;
      }
      case "retry": {
        const { kind: _, ...retry } = event;
        this.retries.push({ ...retry, startMs: this.#now() });
        break;
      }
      case "table-finished": {
        const { kind: _, ...table } = event;
        this.tables.push(table);
        break;
      }
      case "work-finished": {
        const { kind: _, startedAtMs, ...work } = event;
        this.timeline.push({ ...work, startMs: startedAtMs - this.#start });
        break;
      }
    }
  }

  /** Runs a step, reports its start and end, and keeps its duration. */
  async step<Result>(work: () => Promise<Result>, options: StepOptions<Result>): Promise<Result> {
    const { step, database, summarize } = options;
    const place = database === undefined ? {} : { database };
    this.#sink({ kind: "step-started", step, ...place });
    const startMs = this.#now();
    const end = () => ({
      step,
      ...place,
      startMs,
      ms: this.#now() - startMs,
      ...this.#prediction(step, database),
    });
    let result: Result;
    try {
      result = await work();
    } catch (error) {
      const isInterrupted = error instanceof InterruptedError;
      this.steps.push({
        ...end(),
        failed: true,
        ...(isInterrupted ? { interrupted: true as const } : {}),
      });
      throw error;
    }
    const summary = summarize?.(result);
    const outcome = { ...end(), ...(summary === undefined ? {} : { summary }) };
    this.steps.push(outcome);
    const { startMs: _, ...reported } = outcome;
    this.#sink({ kind: "step-finished", ...reported });
    return result;
  }

  #prediction(step: string, database: string | undefined): Pick<StepReport, "predictedMs"> {
    const found = this.#predicted.find((each) => each.step === step && each.database === database);
    return found === undefined ? {} : { predictedMs: found.ms };
  }

  #now(): number {
    return performance.now() - this.#start;
  }
}

function runKey({ database, schema, name }: TableOfRun): string {
  return JSON.stringify([database, schema, name]);
}

function sameWarning(one: Warning, other: Warning): boolean {
  return one.message === other.message && one.side === other.side && one.object === other.object;
}
