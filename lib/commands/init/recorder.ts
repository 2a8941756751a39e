/**
 * What a run has done, gathered while it goes: events go through, steps and warnings are kept for the report.
 *
 * @module
 */
import type { EventSink, RunEvent, StepName } from "../../core/mod.ts";
import type { SpeedChange, StepReport, TimelineEntry, Warning } from "../report.ts";

/** Which step, and of which database. */
export interface StepOptions<Result> {
  readonly step: StepName;
  readonly database?: string;
  /** A few words about the outcome. */
  readonly summarise?: (result: Result) => string | undefined;
}

/** Passes events on and keeps what the report needs. */
export class Recorder {
  readonly steps: StepReport[] = [];
  readonly warnings: Warning[] = [];
  readonly timeline: TimelineEntry[] = [];
  readonly governor: SpeedChange[] = [];
  readonly #start = performance.now();
  readonly #sink: EventSink;

  constructor(sink: EventSink) {
    this.#sink = sink;
  }

  /** The sink for everything that the run calls. */
  readonly events: EventSink = (event: RunEvent) => {
    if (event.kind === "warning") {
      const { kind: _, ...warning } = event;
      this.warnings.push(warning);
    } else if (event.kind === "governor") {
      const { kind: _, ...change } = event;
      this.governor.push({ ...change, startMs: performance.now() - this.#start });
    } else if (event.kind === "work-finished") {
      const { kind: _, startedAtMs, ...work } = event;
      this.timeline.push({ ...work, startMs: startedAtMs - this.#start });
    }
    this.#sink(event);
  };

  /** Runs a step, tells when it begins and ends, and keeps how long it took. */
  async step<Result>(work: () => Promise<Result>, options: StepOptions<Result>): Promise<Result> {
    const { step, database, summarise } = options;
    const place = database === undefined ? {} : { database };
    this.#sink({ kind: "step-started", step, ...place });
    const start = performance.now();
    const result = await work();
    const ms = performance.now() - start;
    const summary = summarise?.(result);
    const outcome = {
      step,
      ...place,
      startMs: start - this.#start,
      ms,
      ...(summary === undefined ? {} : { summary }),
    };
    this.steps.push(outcome);
    const { startMs: _, ...told } = outcome;
    this.#sink({ kind: "step-finished", ...told });
    return result;
  }
}
