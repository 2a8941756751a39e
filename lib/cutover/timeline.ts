/**
 * The timeline of a switch: each step as an event when it begins and ends, and for the report.
 *
 * @module
 */
import { type EventSink, InterruptedError, type StepName } from "../core/internal.ts";
import type { FailedAttempt, SwitchStep } from "./switch_options.ts";

/** How a step is reported. */
export interface TimelineStepOptions<Result> {
  /** The database concerned; undefined for all. */
  readonly database?: string;
  /** Its outcome in a few words. */
  readonly summarise?: (result: Result) => string;
  /**
   * When writers began to wait in the step, on the clock of `performance.now()`; the report shows
   * it from then on.
   */
  readonly pauseSince?: (result: Result) => number;
}

/** Records steps, and attempts at the barrier. */
export class Timeline {
  readonly #events: EventSink;
  readonly #startMs = performance.now();
  readonly #steps: SwitchStep[] = [];
  readonly #attempts: FailedAttempt[] = [];
  #isPause = false;

  /** Begins now. */
  constructor(events: EventSink) {
    this.#events = events;
  }

  /** Steps so far, in the order in which they ended. */
  get steps(): readonly SwitchStep[] {
    return this.#steps;
  }

  /** Failed attempts at the barrier. */
  get attempts(): readonly FailedAttempt[] {
    return this.#attempts;
  }

  /** Records one that has just given way; `sinceMs` is on the clock of `performance.now()`. */
  addAttempt(sinceMs: number, blockers: readonly string[]): FailedAttempt {
    const attempt = {
      atMs: sinceMs - this.#startMs,
      ms: performance.now() - sinceMs,
      blockers,
    };
    this.#attempts.push(attempt);
    return attempt;
  }

  /** Whether writers wait during the steps that begin from now on. */
  set isPause(isPause: boolean) {
    this.#isPause = isPause;
  }

  /** Runs a step. One that fails ends with an event too. */
  async step<Result>(
    step: StepName,
    work: () => Promise<Result>,
    { database, summarise = () => "", pauseSince }: TimelineStepOptions<Result> = {},
  ): Promise<Result> {
    const place = database === undefined ? {} : { database };
    this.#events({ kind: "step-started", step, ...place });
    const start = performance.now();
    const isPause = this.#isPause;
    const record = (summary: string, since: number | undefined) => {
      const from = since ?? start;
      const ms = performance.now() - from;
      const writersWait = isPause || since !== undefined;
      this.#steps.push({ step, atMs: from - this.#startMs, ms, isPause: writersWait, summary });
      return ms;
    };
    let result: Result;
    try {
      result = await work();
    } catch (error) {
      const summary = error instanceof InterruptedError ? "interrupted" : "failed";
      const ms = record(summary, undefined);
      this.#events({
        kind: "step-finished",
        step,
        ...place,
        ms,
        failed: true,
        ...(summary === "failed" ? {} : { summary }),
      });
      throw error;
    }
    const summary = summarise(result);
    const ms = record(summary, pauseSince?.(result));
    this.#events({
      kind: "step-finished",
      step,
      ...place,
      ms,
      ...(summary === "" ? {} : { summary }),
    });
    return result;
  }
}
