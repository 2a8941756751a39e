/**
 * Predicts the duration of a run during its first steps, for a plan that nobody reads before.
 *
 * @module
 */
import { describeError, type EventSink, redact } from "../../../core/internal.ts";
import type { StepPrediction } from "../../shared/report.ts";

/** What is measured, and who receives the result. */
export interface PredictionOptions {
  /** Undefined if nothing can be measured. */
  readonly measure: (signal: AbortSignal) => Promise<readonly StepPrediction[] | undefined>;
  /** Receives the result if it arrives before the run ends. */
  readonly onPredicted: (steps: readonly StepPrediction[]) => void;
  readonly signal: AbortSignal;
  readonly events: EventSink;
}

/**
 * A measurement that takes place next to the run.
 *
 * States: measuring (from the constructor on) → done, or ended by disposal, which waits until its
 * sessions are closed. A failure is reported and does not affect the run.
 */
export class Prediction implements AsyncDisposable {
  readonly #ended = new AbortController();
  readonly #done: Promise<void>;

  constructor({ measure, onPredicted, signal, events }: PredictionOptions) {
    const either = AbortSignal.any([signal, this.#ended.signal]);
    this.#done = measure(either).then((steps) => {
      if (!either.aborted && steps !== undefined) onPredicted(steps);
    }, (error) => {
      if (either.aborted) return;
      events({
        kind: "info",
        message: `the duration could not be predicted: ${redact(describeError(error)[0] ?? "")}`,
      });
    });
  }

  /** Ends the measurement if it still runs. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort(new Error("the run has ended"));
    await this.#done;
  }
}
