/**
 * Waiting, and work that is repeated until a signal aborts.
 *
 * @module
 */

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

/**
 * Calls `work` at once and then after each pause, until the signal aborts; an abort is not an error
 * here. An error of `work` ends it; to repeat work that fails, see `retry`.
 *
 * @param work gets the number of calls before it; `false` ends the repetition
 */
export async function repeatUntilAborted(
  work: (calls: number) => Promise<boolean | void>,
  { intervalMs, signal }: {
    /** Pause between two calls, or what it is after a number of calls. */
    readonly intervalMs: number | ((calls: number) => number);
    readonly signal: AbortSignal;
  },
): Promise<void> {
  for (let calls = 0; !signal.aborted; calls++) {
    if (await work(calls) === false) return;
    const ms = typeof intervalMs === "number" ? intervalMs : intervalMs(calls + 1);
    await pause(ms, signal).catch(() => {}); // the loop checks the signal
  }
}
