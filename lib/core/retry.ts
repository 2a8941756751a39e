/**
 * Repeats work whose failure may be transient.
 *
 * @module
 */
import { isTransient } from "./errors.ts";
import { pause } from "./pause.ts";

/** How often work is repeated, after which failures, and when counting starts over. */
export interface RetryOptions {
  /**
   * Pauses between attempts; their number is the number of retries in a row.
   *
   * @default {@linkcode connectionDelaysMs}
   */
  readonly delaysMs?: readonly number[] | undefined;
  /**
   * Whether the last pause is repeated for as long as failures are retryable.
   *
   * @default false
   */
  readonly repeatsLastDelay?: boolean;
  /**
   * Which failures are retried.
   *
   * @default {@linkcode isTransient}
   */
  readonly isRetryable?: (error: unknown) => boolean;
  /**
   * Reset after progress: pauses start over after an attempt that ran for longer than this before
   * it failed, as they do after one that called {@linkcode Attempt.reportProgress}.
   *
   * @default Infinity
   */
  readonly resetAfterMs?: number;
  /** The shortest pause that a failure calls for, such as an HTTP status 429. */
  readonly minDelayMs?: (error: unknown) => number;
  /** Ends the pauses; no attempt starts once it has aborted. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Called before each pause.
   *
   * @param attempt failures in a row since the last progress, from 1
   */
  readonly onRetry?: ((error: unknown, attempt: number, delayMs: number) => void) | undefined;
}

/** One call of the work that {@linkcode retry} repeats. */
export interface Attempt {
  /** Attempts before this one; progress does not reset it. */
  readonly retries: number;
  /** Makes the pauses start over if this attempt fails. */
  readonly reportProgress: () => void;
}

/** The pauses for connections. */
export const connectionDelaysMs: readonly number[] = [1_000, 2_000, 4_000];

/**
 * Calls `work` until it succeeds, fails for a reason that is not retryable, or the pauses are used
 * up. Only for work that can be repeated: opening a connection, reading; never for a step that
 * could have taken effect.
 *
 * @throws the last failure, or the signal's reason
 */
export async function retry<Result>(
  work: (attempt: Attempt) => Promise<Result>,
  options: RetryOptions = {},
): Promise<Result> {
  const { isRetryable = isTransient, resetAfterMs = Infinity, signal, onRetry } = options;
  for (let retries = 0, failures = 0;; retries++) {
    signal?.throwIfAborted();
    const start = performance.now();
    const reportProgress = () => {
      failures = 0;
    };
    try {
      return await work({ retries, reportProgress });
    } catch (error) {
      if (performance.now() - start > resetAfterMs) failures = 0;
      const delayMs = delayAfter(error, failures++, options);
      if (delayMs === undefined || !isRetryable(error)) throw error;
      signal?.throwIfAborted();
      onRetry?.(error, failures, delayMs);
      await pause(delayMs, signal);
    }
  }
}

/** Undefined when the pauses are used up. */
function delayAfter(
  error: unknown,
  failures: number,
  { delaysMs = connectionDelaysMs, repeatsLastDelay = false, minDelayMs }: RetryOptions,
): number | undefined {
  const delayMs = delaysMs[failures] ?? (repeatsLastDelay ? delaysMs.at(-1) : undefined);
  return delayMs === undefined ? undefined : Math.max(delayMs, minDelayMs?.(error) ?? 0);
}
