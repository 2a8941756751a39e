/**
 * The last state of each row of a table, found by key. Pure.
 *
 * Keys are compared as bytes where they are: a string for each would cost more than everything else
 * that is done for a change.
 *
 * @module
 */
import { textHeaderBytes, type Tuple, valueKind } from "../postgres/internal.ts";
import type { TableMapping } from "./table_mapping.ts";

/** What happens to one row in a group; `replace` is a deletion followed by an insertion. */
export type RowState =
  /** `before` has the old values of the key's columns, `row` the last values. */
  | {
    readonly kind: "insert" | "update" | "replace";
    readonly before: Tuple;
    readonly row: Tuple;
  }
  | { readonly kind: "delete"; readonly before: Tuple };

/** Slots of an empty index: a power of two, as all its sizes. */
const firstSlots = 64;

/** Hashes differ between processes, so that nobody can choose keys that collide. */
const seed = crypto.getRandomValues(new Int32Array(1))[0] as number;

/** Changes of one table that are applied together: each row has one state. */
export class RowGroup {
  readonly kind = "group";
  readonly mapping: TableMapping;
  readonly #keyColumns: readonly number[];
  /** Insertions without another change, which need not be found. */
  readonly #inserted: Tuple[] = [];
  readonly #states: RowState[] = [];
  /** Numbers of states plus one, by the hash of the key. */
  #slots = new Int32Array(0);
  /** Where {@linkcode find} ended. */
  #slot = 0;

  constructor(mapping: TableMapping, keyColumns: readonly number[]) {
    this.mapping = mapping;
    this.#keyColumns = keyColumns;
  }

  /** Whether rows can be found; otherwise it has insertions only. */
  get isIndexed(): boolean {
    return this.#slots.length > 0;
  }

  /** Rows that are inserted, while it is not indexed. */
  get inserted(): readonly Tuple[] {
    return this.#inserted;
  }

  /** The last state of each row, once it is indexed. */
  get states(): readonly RowState[] {
    return this.#states;
  }

  /** Adds an insertion to a group that is not indexed. */
  insert(row: Tuple): void {
    this.#inserted.push(row);
  }

  /**
   * Makes rows findable.
   *
   * @returns false if it stays as it is, because two insertions have the same key
   */
  index(): boolean {
    if (this.isIndexed) return true;
    this.#slots = new Int32Array(firstSlots);
    for (const row of this.#inserted) {
      if (this.find(row) !== undefined) {
        this.#slots = new Int32Array(0);
        this.#states.length = 0;
        return false;
      }
      this.put({ kind: "insert", before: row, row });
    }
    this.#inserted.length = 0;
    return true;
  }

  /** The state of the row with the key of another. */
  find(row: Tuple): RowState | undefined {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = hashOf(this.#keyColumns, row) & mask;
    for (;; slot = slot + 1 & mask) {
      this.#slot = slot;
      const number = slots[slot] as number;
      if (number === 0) return undefined;
      const state = this.#states[number - 1] as RowState;
      if (isSameKey(this.#keyColumns, state.before, row)) return state;
    }
  }

  /** Sets the state of the row that was searched last. */
  put(state: RowState): void {
    const number = this.#slots[this.#slot] as number;
    if (number > 0) {
      this.#states[number - 1] = state;
      return;
    }
    this.#slots[this.#slot] = this.#states.push(state);
    if (2 * this.#states.length > this.#slots.length) this.#grow();
  }

  #grow(): void {
    const slots = new Int32Array(4 * this.#slots.length);
    const mask = slots.length - 1;
    for (const [at, { before }] of this.#states.entries()) {
      let slot = hashOf(this.#keyColumns, before) & mask;
      while (slots[slot] !== 0) slot = slot + 1 & mask;
      slots[slot] = at + 1;
    }
    this.#slots = slots;
  }
}

function hashOf(keyColumns: readonly number[], row: Tuple): number {
  const { view } = row;
  let hash = seed;
  for (const position of keyColumns) {
    const at = row.place(position);
    const end = row.after(at);
    for (let byte = at; byte < end; byte++) {
      hash = Math.imul(hash ^ view.getUint8(byte), 0x0100_0193);
    }
  }
  return hash ^ hash >>> 15;
}

/**
 * Whether two rows have the same values in the key's columns.
 *
 * @param otherwise the row with the values of `other` that were not sent because they did not
 * change
 */
export function isSameKey(
  keyColumns: readonly number[],
  one: Tuple,
  other: Tuple,
  otherwise = other,
): boolean {
  for (const position of keyColumns) {
    const at = other.place(position);
    const isSent = other.view.getUint8(at) !== valueKind.unchanged;
    const found = isSent ? other : otherwise;
    if (!isSameValue(one, one.place(position), found, isSent ? at : found.place(position))) {
      return false;
    }
  }
  return true;
}

function isSameValue(one: Tuple, at: number, other: Tuple, otherAt: number): boolean {
  const [view, otherView] = [one.view, other.view];
  const kind = view.getUint8(at);
  if (kind !== otherView.getUint8(otherAt)) return false;
  if (kind !== valueKind.text) return true;
  const bytes = textHeaderBytes + view.getUint32(at + 1);
  for (let byte = 1; byte < bytes; byte++) {
    if (view.getUint8(at + byte) !== otherView.getUint8(otherAt + byte)) return false;
  }
  return true;
}
