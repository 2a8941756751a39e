/**
 * Work that becomes ready while other work goes on: indexes of a table as soon as its rows are in.
 *
 * @module
 */

/** A queue whose takers wait; the heaviest item goes first. */
export class BuildQueue<Item> {
  readonly #items: { readonly item: Item; readonly weight: number }[] = [];
  readonly #waiting: ((item: Item | undefined) => void)[] = [];
  #closed = false;

  /** Items that nobody has taken. */
  get size(): number {
    return this.#items.length;
  }

  /** Adds an item; the heavier, the sooner it is taken. */
  push(item: Item, weight: number): void {
    const taker = this.#waiting.shift();
    if (taker !== undefined) return taker(item);
    const at = this.#items.findIndex((other) => other.weight < weight);
    this.#items.splice(at < 0 ? this.#items.length : at, 0, { item, weight });
  }

  /** The next item; waits while there may come more, undefined when none will. */
  take(): Promise<Item | undefined> {
    const next = this.#items.shift();
    if (next !== undefined) return Promise.resolve(next.item);
    if (this.#closed) return Promise.resolve(undefined);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** The next item if it is there already and wanted. */
  takeIf(wanted: (item: Item) => boolean): Item | undefined {
    const [next] = this.#items;
    if (next === undefined || !wanted(next.item)) return undefined;
    this.#items.shift();
    return next.item;
  }

  /** No more items will come. Takers get what is left, then undefined. */
  close(): void {
    this.#closed = true;
    for (const taker of this.#waiting.splice(0)) taker(undefined);
  }
}
