/**
 * Collects the changes of consecutive transactions, ordered so that each table needs few
 * statements. Pure.
 *
 * Within one target transaction nobody sees intermediate states, and the session's role fires no
 * triggers and checks no foreign keys: so the changes of different tables are independent, and of
 * one row only the last state counts. What cannot be combined closes the group of its table, which
 * keeps the order.
 *
 * @module
 */
import type { ColumnValue, Tuple } from "../postgres/internal.ts";
import type { TablePlan } from "./table_plan.ts";
import type { TargetTable } from "./target_tables.ts";

/** A change of one row. */
export type RowChange =
  | { readonly kind: "insert"; readonly plan: TablePlan; readonly row: Tuple }
  | {
    readonly kind: "update";
    readonly plan: TablePlan;
    /** The old values of the identity's columns, or of all. */
    readonly before: Tuple;
    readonly row: Tuple;
  }
  | { readonly kind: "delete"; readonly plan: TablePlan; readonly before: Tuple };

/** What happens to one row in a group; `replace` is a deletion followed by an insertion. */
export interface RowState {
  readonly kind: "insert" | "update" | "delete" | "replace";
  /** Old values of the key's columns, in their order. */
  readonly key: Tuple;
  /** The last values; empty for a deletion. */
  readonly row: Tuple;
}

/** Changes that are applied together, in this order. */
export type Item =
  /** Each row at most once: first all deletions, then updates, then insertions. */
  | {
    readonly kind: "group";
    readonly plan: TablePlan;
    readonly rows: Map<string, RowState>;
  }
  /** Insertions into a table without a key. */
  | { readonly kind: "rows"; readonly plan: TablePlan; readonly rows: Tuple[] }
  | { readonly kind: "single"; readonly change: RowChange }
  | {
    readonly kind: "truncate";
    readonly tables: readonly TargetTable[];
    readonly restartsIdentity: boolean;
  };

/** A row that is larger is inserted on its own: COPY limits a line to 1 GB, escapes included. */
const maxCopiedRowBytes = 16 * 1024 * 1024;

/** Changes in the order in which they can be applied. */
export class ChangeCollector {
  readonly #items: Item[] = [];
  /** By {@linkcode TablePlan.key}: the last item of a table, while it can take more changes. */
  readonly #open = new Map<string, Item & { readonly kind: "group" | "rows" }>();
  readonly #isStrict: boolean;

  /**
   * @param options.isStrict whether each change is applied on its own, in the order of the source
   */
  constructor({ isStrict }: { readonly isStrict: boolean }) {
    this.#isStrict = isStrict;
  }

  get isEmpty(): boolean {
    return this.#items.length === 0;
  }

  /** What was collected. */
  get items(): readonly Item[] {
    return this.#items;
  }

  /** Adds a change of a row. */
  add(change: RowChange): void {
    const { plan } = change;
    if (this.#isStrict) this.#addSingle(change);
    else if (change.kind === "insert") this.#addInsert(plan, change.row);
    else if (plan.keyColumns === undefined) this.#addSingle(change);
    else if (change.kind === "delete") {
      this.#addDelete(plan, keyOf(plan.keyColumns, change.before));
    } else this.#addUpdate(change, plan.keyColumns);
  }

  /** Adds a TRUNCATE; nothing is moved across it. */
  addTruncate(tables: readonly TargetTable[], restartsIdentity: boolean): void {
    this.#open.clear();
    this.#items.push({ kind: "truncate", tables, restartsIdentity });
  }

  #addSingle(change: RowChange): void {
    this.#open.delete(change.plan.key);
    this.#items.push({ kind: "single", change });
  }

  #addInsert(plan: TablePlan, row: Tuple): void {
    if (sizeOf(row) > maxCopiedRowBytes) {
      return this.#addSingle({ kind: "insert", plan, row });
    }
    if (plan.keyColumns === undefined) {
      const run = this.#openItem(plan, "rows");
      run.rows.push(row);
      return;
    }
    const key = keyOf(plan.keyColumns, row);
    const name = nameOf(key);
    const known = this.#openItem(plan, "group").rows.get(name);
    if (known === undefined) this.#put(plan, name, { kind: "insert", key, row });
    else if (known.kind === "delete") this.#put(plan, name, { kind: "replace", key, row });
    // an existing row: the server will reject it
    else this.#putAfter(plan, name, { kind: "insert", key, row });
  }

  #addDelete(plan: TablePlan, key: Tuple): void {
    const name = nameOf(key);
    const known = this.#openItem(plan, "group").rows.get(name);
    const state: RowState = { kind: "delete", key, row: [] };
    if (known === undefined || known.kind === "update") this.#put(plan, name, state);
    else this.#putAfter(plan, name, state);
  }

  #addUpdate(
    change: RowChange & { readonly kind: "update" },
    keyColumns: readonly number[],
  ): void {
    const { plan, before, row } = change;
    if (sizeOf(row) > maxCopiedRowBytes) return this.#addSingle(change);
    const oldKey = keyOf(keyColumns, before);
    const newKey = keyOf(keyColumns, row).map((value, at) =>
      value === undefined ? oldKey[at] : value
    );
    const oldName = nameOf(oldKey);
    const newName = nameOf(newKey);
    if (oldName !== newName) {
      // values that were not sent are only in the old row
      if (plan.hasOwnColumns || row.includes(undefined)) return this.#addSingle(change);
      this.#addDelete(plan, oldKey);
      return this.#addInsert(plan, row);
    }
    const known = this.#openItem(plan, "group").rows.get(oldName);
    if (known === undefined) this.#put(plan, oldName, { kind: "update", key: oldKey, row });
    else if (known.kind === "delete") {
      this.#putAfter(plan, oldName, { kind: "update", key: oldKey, row });
    } else this.#put(plan, oldName, { ...known, row: merge(known.row, row) });
  }

  #put(plan: TablePlan, name: string, state: RowState): void {
    this.#openItem(plan, "group").rows.set(name, state);
  }

  /** Puts it into a new group of the table. */
  #putAfter(plan: TablePlan, name: string, state: RowState): void {
    this.#open.delete(plan.key);
    this.#put(plan, name, state);
  }

  #openItem<Kind extends "group" | "rows">(
    plan: TablePlan,
    kind: Kind,
  ): Item & { readonly kind: Kind } {
    const known = this.#open.get(plan.key);
    // an altered table has another plan
    if (known?.kind === kind && known.plan === plan) return known as Item & { readonly kind: Kind };
    const item: Item & { readonly kind: "group" | "rows" } = kind === "group"
      ? { kind: "group", plan, rows: new Map() }
      : { kind: "rows", plan, rows: [] };
    this.#items.push(item);
    this.#open.set(plan.key, item);
    return item as Item & { readonly kind: Kind };
  }
}

function merge(earlier: Tuple, later: Tuple): Tuple {
  return later.map((value, at) => value === undefined ? earlier[at] : value);
}

/** The values of the key's columns. */
function keyOf(keyColumns: readonly number[], row: Tuple): ColumnValue[] {
  return keyColumns.map((position) => row[position]);
}

const latin1 = new TextDecoder("latin1");

/** Distinguishes keys: lengths and bytes of all values. */
function nameOf(key: Tuple): string {
  const [only] = key;
  if (key.length === 1 && only) return textOf(only);
  return key.map((value) => value ? `${value.length}:${textOf(value)}` : "-").join("");
}

/** Each byte as a character. */
function textOf(bytes: Uint8Array): string {
  if (bytes.length > 32) return latin1.decode(bytes);
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

function sizeOf(row: Tuple): number {
  let bytes = 0;
  for (const value of row) if (value) bytes += value.length;
  return bytes;
}
