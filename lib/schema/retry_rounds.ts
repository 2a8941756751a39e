/**
 * Work whose pieces may need each other in an order that nobody knows.
 *
 * @module
 */

/**
 * Tries what failed again, round after round, while a round gets something done: a view over a view
 * that came later, a materialized view whose function reads another one. Ends after as many rounds
 * as there are items at the latest.
 *
 * @param attempt returns whether the item is done
 * @returns the items that are left, in their order
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
