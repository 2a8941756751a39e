/**
 * Runs items that depend on each other in an unknown order.
 *
 * @module
 */

/**
 * Retries failed items round after round, as long as a round makes progress: a view over a view
 * that was created later, a materialized view whose function reads another one. Ends after at most
 * as many rounds as there are items.
 *
 * @param attempt returns whether the item is done
 * @returns the remaining items, in order
 */
export async function retryInRounds<Item>(
  items: readonly Item[],
  attempt: (item: Item) => Promise<boolean>,
): Promise<readonly Item[]> {
  for (let waiting = items;;) {
    const left: Item[] = [];
    for (const item of waiting) {
      if (!await attempt(item)) left.push(item);
    }
    if (left.length === 0 || left.length === waiting.length) return left;
    waiting = left;
  }
}
