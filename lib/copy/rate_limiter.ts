/**
 * Holds a copy back to so many bytes a second, all of its sessions together.
 *
 * @module
 */
import { pause } from "../postgres/internal.ts";

/** A clock, and the signal that ends waiting. */
export interface RateLimiterOptions {
  /** Bytes a second at the beginning; undefined for no limit. */
  readonly bytesPerSecond?: number | undefined;
  readonly signal: AbortSignal;
  /** Milliseconds that only grow. */
  readonly now?: () => number;
  /** Waits. */
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** What a session that was held back may make up for. */
const burstMs = 100;

/**
 * Says how long to wait before more is read. What has been read is paid for afterwards, so that a
 * limit holds on average whatever the size of the pieces, and no session has to know of the others.
 */
export class RateLimiter {
  /** Bytes that have gone through. */
  bytes = 0;
  /** May be changed at any time; what was read before is not counted again. */
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

  /** Takes note of bytes; the promise resolves when more may be read, undefined means now. */
  readonly pace = (bytes: number): Promise<void> | undefined => {
    this.bytes += bytes;
    if (this.bytesPerSecond === undefined) return undefined;
    const now = this.#now();
    this.#paidUntil = Math.max(this.#paidUntil, now - burstMs) + bytes / this.bytesPerSecond * 1000;
    const ms = this.#paidUntil - now;
    // whoever waits is ended by its own signal, and nobody waits after the last piece
    return ms <= 0 ? undefined : this.#sleep(ms, this.#signal).catch(() => {});
  };
}
