/**
 * Waits for a condition that nothing announces.
 *
 * @module
 */
import { pause } from "./pause.ts";

/** How often is asked, and for how long. */
export interface PollOptions {
  /** Pause between two probes, or what it is after a number of probes. */
  readonly intervalMs: number | ((probes: number) => number);
  /**
   * No probe starts later than this.
   *
   * @default Infinity
   */
  readonly timeoutMs?: number;
  /**
   * Limit on the number of probes.
   *
   * @default Infinity
   */
  readonly maxProbes?: number;
  /** Ends the pauses. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Calls `probe` until it returns anything but undefined: at least once, and then after each pause.
 * An error of `probe` ends it; to repeat work that fails, see `retry`.
 *
 * @param probe gets the number of probes before it
 * @returns what `probe` returned; undefined after the timeout or the last probe
 * @throws the signal's reason once it aborts
 */
export async function poll<Result>(
  probe: (probes: number) => Promise<Result | undefined>,
  { intervalMs, timeoutMs = Infinity, maxProbes = Infinity, signal }: PollOptions,
): Promise<Result | undefined> {
  const start = performance.now();
  for (let probes = 0; probes < maxProbes; probes++) {
    const result = await probe(probes);
    if (result !== undefined) return result;
    if (probes + 1 === maxProbes) break;
    const ms = typeof intervalMs === "number" ? intervalMs : intervalMs(probes + 1);
    if (performance.now() - start + ms > timeoutMs) break;
    await pause(ms, signal);
  }
  return undefined;
}
