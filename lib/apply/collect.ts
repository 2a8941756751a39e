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
import { type ColumnValue, Tuple } from "../postgres/internal.ts";
import type { TableMapping } from "./table_mapping.ts";
import type { MappedTable } from "./applied_tables.ts";

/** A change of one row. */
export type CollectedChange =
  | { readonly kind: "insert"; readonly mapping: TableMapping; readonly row: Tuple }
  | {
    readonly kind: "update";
    readonly mapping: TableMapping;
    /** The old values of the identity's columns, or of all. */
    readonly before: Tuple;
    readonly row: Tuple;
  }
  | { readonly kind: "delete"; readonly mapping: TableMapping; readonly before: Tuple };

/** What happens to one row in a group; `replace` is a deletion followed by an insertion. */
export type RowState =
  /** `before` has the old values of the key's columns, `row` the last values. */
  | {
    readonly kind: "insert" | "update" | "replace";
    readonly before: Tuple;
    readonly row: Tuple;
  }
  | { readonly kind: "delete"; readonly before: Tuple };

/** Changes that are applied together, in this order. */
export type Item =
  /** Each row at most once: first all deletions, then updates, then insertions. */
  | {
    readonly kind: "group";
    readonly mapping: TableMapping;
    readonly rows: Map<string, RowState>;
  }
  /** Insertions into a table without a key. */
  | { readonly kind: "rows"; readonly mapping: TableMapping; readonly rows: Tuple[] }
  | { readonly kind: "single"; readonly change: CollectedChange }
  | {
    readonly kind: "truncate";
    readonly tables: readonly MappedTable[];
    readonly restartsIdentity: boolean;
  };

/** A row that is larger is inserted on its own: COPY limits a line to 1 GB, escapes included. */
const maxCopiedRowBytes = 16 * 1024 * 1024;

/** Changes in the order in which they can be applied. */
export class ChangeCollector {
  readonly #items: Item[] = [];
  /** By {@linkcode TableMapping.key}: the last item of a table, while it can take more changes. */
  readonly #open = new Map<string, Item & { readonly kind: "group" | "rows" }>();
  readonly #isStrict: boolean;
  readonly #isRaw: boolean;

  /**
   * @param options.isStrict whether each change is applied on its own, in the order of the source
   * @param options.isRaw whether row filters still have to be applied, to each change
   */
  constructor(
    { isStrict, isRaw = false }: { readonly isStrict: boolean; readonly isRaw?: boolean },
  ) {
    this.#isStrict = isStrict;
    this.#isRaw = isRaw;
  }

  /** What was collected. */
  get items(): readonly Item[] {
    return this.#items;
  }

  /** Adds a change of a row. */
  add(change: CollectedChange): void {
    const { mapping } = change;
    if (this.#isStrict || this.#isRaw && mapping.rowFilter !== undefined) this.#addSingle(change);
    else if (change.kind === "insert") this.#addInsert(mapping, change.row);
    else if (mapping.keyColumns === undefined) this.#addSingle(change);
    else if (change.kind === "delete") {
      this.#addDelete(mapping, {
        before: change.before,
        name: nameOf(mapping.keyColumns, change.before),
      });
    } else this.#addUpdate(change, mapping.keyColumns);
  }

  /** Adds a TRUNCATE; nothing is moved across it. */
  addTruncate(tables: readonly MappedTable[], restartsIdentity: boolean): void {
    this.#open.clear();
    this.#items.push({ kind: "truncate", tables, restartsIdentity });
  }

  #addSingle(change: CollectedChange): void {
    this.#open.delete(change.mapping.key);
    this.#items.push({ kind: "single", change });
  }

  #addInsert(mapping: TableMapping, row: Tuple): void {
    if (row.size > maxCopiedRowBytes) return this.#addSingle({ kind: "insert", mapping, row });
    if (mapping.keyColumns === undefined) {
      const run = this.#openItem(mapping, "rows");
      run.rows.push(row);
      return;
    }
    const name = nameOf(mapping.keyColumns, row);
    const known = this.#openItem(mapping, "group").rows.get(name);
    if (known === undefined) this.#put(mapping, name, { kind: "insert", before: row, row });
    else if (known.kind === "delete") {
      this.#put(mapping, name, { kind: "replace", before: known.before, row });
    } else {
      // an existing row: the server will reject it
      this.#putAfter(mapping, name, { kind: "insert", before: row, row });
    }
  }

  #addDelete(
    mapping: TableMapping,
    { before, name }: { readonly before: Tuple; readonly name: string },
  ): void {
    const known = this.#openItem(mapping, "group").rows.get(name);
    if (known === undefined || known.kind === "update") {
      this.#put(mapping, name, { kind: "delete", before: known?.before ?? before });
    } else this.#putAfter(mapping, name, { kind: "delete", before });
  }

  #addUpdate(
    change: CollectedChange & { readonly kind: "update" },
    keyColumns: readonly number[],
  ): void {
    const { mapping, before, row } = change;
    if (row.size > maxCopiedRowBytes) return this.#addSingle(change);
    const name = nameOf(keyColumns, before);
    if (before !== row && name !== nameOf(keyColumns, row, before)) {
      // values that were not sent are only in the old row
      if (mapping.hasOwnColumns || row.isPartial) return this.#addSingle(change);
      this.#addDelete(mapping, { before, name });
      return this.#addInsert(mapping, row);
    }
    const known = this.#openItem(mapping, "group").rows.get(name);
    if (known === undefined) this.#put(mapping, name, { kind: "update", before, row });
    else if (known.kind === "delete") {
      this.#putAfter(mapping, name, { kind: "update", before, row });
    } else this.#put(mapping, name, { ...known, row: merge(known.row, row) });
  }

  #put(mapping: TableMapping, name: string, state: RowState): void {
    this.#openItem(mapping, "group").rows.set(name, state);
  }

  /** Puts it into a new group of the table. */
  #putAfter(mapping: TableMapping, name: string, state: RowState): void {
    this.#open.delete(mapping.key);
    this.#put(mapping, name, state);
  }

  #openItem<Kind extends "group" | "rows">(
    mapping: TableMapping,
    kind: Kind,
  ): Item & { readonly kind: Kind } {
    const known = this.#open.get(mapping.key);
    // an altered table has another mapping
    if (known?.kind === kind && known.mapping === mapping) {
      return known as Item & { readonly kind: Kind };
    }
    const item: Item & { readonly kind: "group" | "rows" } = kind === "group"
      ? { kind: "group", mapping, rows: new Map() }
      : { kind: "rows", mapping, rows: [] };
    this.#items.push(item);
    this.#open.set(mapping.key, item);
    return item as Item & { readonly kind: Kind };
  }
}

function merge(earlier: Tuple, later: Tuple): Tuple {
  if (!later.isPartial) return later;
  const values = earlier.values();
  return Tuple.of(later.values().map((value, at) => value === undefined ? values[at] : value));
}

const latin1 = new TextDecoder("latin1");

/**
 * Distinguishes keys: lengths and bytes of all values.
 *
 * @param otherwise the row with the values that did not change
 */
function nameOf(keyColumns: readonly number[], row: Tuple, otherwise = row): string {
  const [first = 0] = keyColumns;
  if (keyColumns.length === 1) return textOf(row.value(first) ?? otherwise.value(first));
  let name = "";
  for (const position of keyColumns) {
    const value = row.value(position) ?? otherwise.value(position);
    name += value ? `${value.length}:${textOf(value)}` : "-";
  }
  return name;
}

/** Each byte as a character. */
function textOf(bytes: ColumnValue): string {
  if (!bytes) return "";
  if (bytes.length > 32) return latin1.decode(bytes);
  let text = "";
  for (let at = 0; at < bytes.length; at++) text += String.fromCharCode(bytes[at] as number);
  return text;
}
