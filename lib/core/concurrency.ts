/**
 * Runs work with bounded concurrency; the first failure ends all of it.
 *
 * @module
 */

/** Limit and signal of {@linkcode runConcurrently}. */
export interface ConcurrencyOptions {
  /** Items in progress at once. */
  readonly limit: number;
  /** Ends the work: no further item starts, and those in progress see their own signal abort. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs `work` once for each item, `limit` at a time, in order of the items.
 *
 * The first failure aborts the signal that every `work` gets. The call settles only when all of
 * them have ended, so nothing is left running, and then throws that first failure.
 */
export async function runConcurrently<Item>(
  items: Iterable<Item>,
  work: (item: Item, signal: AbortSignal) => Promise<void>,
  { limit, signal }: ConcurrencyOptions,
): Promise<void> {
  const failed = new AbortController();
  const both = signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal]);
  const queue = items[Symbol.iterator]();
  let failure: { readonly error: unknown } | undefined;

  async function worker(): Promise<void> {
    while (!both.aborted) {
      const next = queue.next();
      if (next.done === true) return;
      try {
        await work(next.value, both);
      } catch (error) {
        failure ??= { error };
        failed.abort(error);
      }
    }
  }

  await Promise.all(Array.from({ length: Math.max(1, limit) }, worker));
  if (failure !== undefined) throw failure.error;
  signal?.throwIfAborted();
}

/**
 * Like `Promise.all`, but settles only when every promise has: work that was started together ends
 * before the first failure is thrown.
 */
export async function joinAll<const Values extends readonly unknown[]>(
  promises: Values,
): Promise<{ -readonly [Index in keyof Values]: Awaited<Values[Index]> }> {
  await Promise.allSettled(promises);
  return await Promise.all(promises);
}
