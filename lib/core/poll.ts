/**
 * Waits for a condition that nothing announces.
 *
 * @module
 */
import { pause } from "./pause.ts";

/** How often is asked, and for how long. */
export interface PollOptions {
  /** Pause between two probes. */
  readonly intervalMs: number;
  /**
   * No probe starts later than this.
   *
   * @default Infinity
   */
  readonly timeoutMs?: number;
  /** Ends the pauses. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Calls `probe` until it returns anything but undefined: at least once, and then after each pause.
 * An error of `probe` ends it; to repeat work that fails, see `retry`.
 *
 * @param probe gets the number of probes before it
 * @returns what `probe` returned; undefined after the timeout
 * @throws the signal's reason once it aborts
 */
export async function poll<Result>(
  probe: (probes: number) => Promise<Result | undefined>,
  { intervalMs, timeoutMs = Infinity, signal }: PollOptions,
): Promise<Result | undefined> {
  const start = performance.now();
  for (let probes = 0;; probes++) {
    const result = await probe(probes);
    if (result !== undefined) return result;
    if (performance.now() - start + intervalMs > timeoutMs) return undefined;
    await pause(intervalMs, signal);
  }
}
