/**
 * Limits a copy to a number of bytes per second, all sessions together.
 *
 * @module
 */
import { pause } from "../core/internal.ts";

/** The limit, a clock, and the signal that ends waiting. */
export interface RateLimiterOptions {
  /** Initial limit; undefined for none. */
  readonly bytesPerSecond?: number | undefined;
  readonly signal: AbortSignal;
  /** A monotonic clock, in milliseconds. */
  readonly now?: () => number;
  /** Waits. */
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** How much unused time may be made up for. */
const maxBurstMs = 100;

/**
 * Computes how long to wait before reading more. Bytes are paid for after they were read, so the
 * limit holds on average for chunks of any size, and sessions need not know each other.
 */
export class RateLimiter {
  /** Bytes read so far. */
  bytes = 0;
  /** May be changed at any time, with effect on bytes read from then on. */
  bytesPerSecond: number | undefined;
  readonly #signal: AbortSignal;
  readonly #now: () => number;
  readonly #sleep: NonNullable<RateLimiterOptions["sleep"]>;
  #paidUntil = 0;

  constructor(
    { bytesPerSecond, signal, now = () => performance.now(), sleep = pause }: RateLimiterOptions,
  ) {
    this.bytesPerSecond = bytesPerSecond;
    this.#signal = signal;
    this.#now = now;
    this.#sleep = sleep;
  }

  /** Counts bytes; the promise resolves when more may be read, undefined means now. */
  readonly pace = (bytes: number): Promise<void> | undefined => {
    this.bytes += bytes;
    if (this.bytesPerSecond === undefined) return undefined;
    const now = this.#now();
    this.#paidUntil = Math.max(this.#paidUntil, now - maxBurstMs) +
      bytes / this.bytesPerSecond * 1000;
    const ms = this.#paidUntil - now;
    // the caller has a signal of its own, and does not wait after the last chunk
    return ms <= 0 ? undefined : this.#sleep(ms, this.#signal).catch(() => {});
  };
}
