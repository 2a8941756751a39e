/** The samples of a line: seconds since 1970, and values. */
export interface Samples {
  readonly at: readonly number[];
  readonly values: readonly number[];
}

const maxBuckets = 600;
const recentMs = 10_000;

/**
 * Bytes over time, in buckets whose width doubles when there are too many, so that long jobs take
 * no more memory than short ones.
 */
export class Throughput {
  #widthMs = 1_000;
  #first: number | undefined;
  #buckets: number[] = [];
  #recent: { readonly at: number; readonly bytes: number }[] = [];

  /** Adds copied bytes. */
  add(bytes: number, at: number): void {
    if (bytes <= 0 && this.#first === undefined) return;
    this.#first ??= at;
    let index = Math.max(0, Math.floor((at - this.#first) / this.#widthMs));
    while (index >= maxBuckets) {
      this.#merge();
      index = Math.floor((at - this.#first) / this.#widthMs);
    }
    this.#buckets[index] = (this.#buckets[index] ?? 0) + Math.max(0, bytes);
    this.#recent.push({ at, bytes: Math.max(0, bytes) });
    const oldest = this.#recent.findIndex((each) => each.at > at - recentMs);
    if (oldest > 256) this.#recent.splice(0, oldest);
  }

  /** Resets the recent rate for a new attempt. */
  restart(): void {
    this.#recent = [];
  }

  /**
   * Bytes per second at the middle of each bucket up to `now`, without the unfinished one.
   */
  samples(now: number): Samples {
    const first = this.#first;
    if (first === undefined) return { at: [], values: [] };
    while (now - first > maxBuckets * this.#widthMs) this.#merge();
    const full = Math.max(1, Math.floor((now - first) / this.#widthMs));
    const indexes = Array.from({ length: full }, (_, index) => index);
    return {
      at: indexes.map((index) => (first + (index + 0.5) * this.#widthMs) / 1000),
      values: indexes.map((index) => (this.#buckets[index] ?? 0) / (this.#widthMs / 1000)),
    };
  }

  /** Bytes per second over the ten seconds before `now`. */
  recent(now: number): number {
    const since = now - recentMs;
    const from = Math.max(since, this.#first ?? now);
    const bytes = this.#recent.reduce((sum, each) => each.at > since ? sum + each.bytes : sum, 0);
    return bytes / Math.max(1, (now - from) / 1000);
  }

  #merge(): void {
    const merged: number[] = [];
    this.#buckets.forEach((bytes, index) => {
      const to = index >> 1;
      merged[to] = (merged[to] ?? 0) + bytes;
    });
    this.#buckets = merged;
    this.#widthMs *= 2;
  }
}
