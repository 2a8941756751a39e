/**
 * Work that becomes ready while other work runs: indexes of a table once its rows are copied.
 *
 * @module
 */

/** A queue whose consumers wait; the heaviest item goes first. */
export class BuildQueue<Item> {
  readonly #items: { readonly item: Item; readonly weight: number }[] = [];
  readonly #waiting: ((item: Item | undefined) => void)[] = [];
  #closed = false;

  /** Items that are not taken yet. */
  get size(): number {
    return this.#items.length;
  }

  /** Adds an item; heavier ones are taken first. */
  push(item: Item, weight: number): void {
    const taker = this.#waiting.shift();
    if (taker !== undefined) return taker(item);
    const at = this.#items.findIndex((other) => other.weight < weight);
    this.#items.splice(at < 0 ? this.#items.length : at, 0, { item, weight });
  }

  /** The next item; waits for one until the queue is closed, then undefined. */
  take(): Promise<Item | undefined> {
    const next = this.#items.shift();
    if (next !== undefined) return Promise.resolve(next.item);
    if (this.#closed) return Promise.resolve(undefined);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** The next item, if one is ready and satisfies the condition. */
  takeIf(condition: (item: Item) => boolean): Item | undefined {
    const [next] = this.#items;
    if (next === undefined || !condition(next.item)) return undefined;
    this.#items.shift();
    return next.item;
  }

  /** Ends the queue. Consumers get the remaining items, then undefined. */
  close(): void {
    this.#closed = true;
    for (const taker of this.#waiting.splice(0)) taker(undefined);
  }
}
