/**
 * Trying again, for failures that pass by themselves.
 *
 * @module
 */
import { isTransient } from "./server_error.ts";

/** How often, how long after each other, and what is told. */
export interface RetryOptions {
  /**
   * Pauses between the attempts; their number is the number of retries. Connections: 1, 2, 4 s
   * (§11).
   */
  readonly delaysMs?: readonly number[];
  readonly signal?: AbortSignal | undefined;
  /** Told before each pause. */
  readonly onRetry?: (error: unknown, attempt: number, delayMs: number) => void;
}

/** The pauses for connections. */
export const connectionDelaysMs: readonly number[] = [1_000, 2_000, 4_000];

/**
 * Calls `work` until it succeeds, fails for good, or the pauses are used up. Only for work that may
 * be repeated: opening a connection, reading; never for a step that could have taken effect.
 *
 * What is transient is told by error class and SQLSTATE, see {@linkcode isTransient}.
 */
export async function retry<Result>(
  work: () => Promise<Result>,
  { delaysMs = connectionDelaysMs, signal, onRetry }: RetryOptions = {},
): Promise<Result> {
  for (let attempt = 0;; attempt++) {
    signal?.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      const delayMs = delaysMs[attempt];
      if (delayMs === undefined || !isTransient(error)) throw error;
      onRetry?.(error, attempt + 1, delayMs);
      await pause(delayMs, signal);
    }
  }
}

/** Waits, or throws the signal's reason as soon as it aborts. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, ms);
    if (signal?.aborted) abort();
    else signal?.addEventListener("abort", abort, { once: true });
  });
}
