/**
 * Collects the changes of consecutive transactions, ordered so that each table needs few
 * statements. Pure.
 *
 * Within one target transaction nobody sees intermediate states, and the session's role fires no
 * triggers and checks no foreign keys: so the changes of different tables are independent, and of
 * one row only the last state counts. What cannot be combined closes the group of its table, which
 * keeps the order. Triggers that fire nevertheless (ENABLE ALWAYS, REPLICA) see each change.
 *
 * @module
 */
import { Tuple } from "../postgres/internal.ts";
import { isSameKey, RowGroup, type RowState } from "./row_group.ts";
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

/** Changes that are applied together, in this order. */
export type Item =
  /** Each row at most once: first all deletions, then updates, then insertions. */
  | RowGroup
  /** Insertions into a table without a key. */
  | { readonly kind: "rows"; readonly mapping: TableMapping; readonly rows: Tuple[] }
  | { readonly kind: "single"; readonly change: CollectedChange }
  | {
    readonly kind: "truncate";
    readonly tables: readonly MappedTable[];
    readonly restartsIdentity: boolean;
  };

/** An item that can take more changes of its table. */
type OpenItem = Item & { readonly kind: "group" | "rows" };

/** A row that is larger is inserted on its own: COPY limits a line to 1 GB, escapes included. */
const maxCopiedRowBytes = 16 * 1024 * 1024;

/** Changes in the order in which they can be applied. */
export class ChangeCollector {
  readonly #items: Item[] = [];
  /** By {@linkcode TableMapping.key}: the last item of a table, while it can take more changes. */
  readonly #open = new Map<string, OpenItem>();
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
    const isSingle = this.#isStrict || mapping.table.firesTriggers ||
      this.#isRaw && mapping.rowFilter !== undefined;
    if (isSingle) this.#addSingle(change);
    else if (change.kind === "insert") this.#addInsert(mapping, change.row);
    else if (mapping.keyColumns === undefined) this.#addSingle(change);
    else if (change.kind === "delete") {
      this.#addDelete(mapping, mapping.keyColumns, change.before);
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
    const { keyColumns } = mapping;
    if (keyColumns === undefined) {
      this.#rows(mapping).push(row);
      return;
    }
    const group = this.#group(mapping, keyColumns);
    if (!group.isIndexed) return group.insert(row);
    const known = group.find(row);
    if (known === undefined) group.put({ kind: "insert", before: row, row });
    else if (known.kind === "delete") group.put({ kind: "replace", before: known.before, row });
    // an existing row: the server will reject it
    else this.#nextGroup(mapping, keyColumns).insert(row);
  }

  #addDelete(mapping: TableMapping, keyColumns: readonly number[], before: Tuple): void {
    const group = this.#indexedGroup(mapping, keyColumns);
    const known = group.find(before);
    if (known === undefined || known.kind === "update") {
      group.put({ kind: "delete", before: known?.before ?? before });
    } else this.#putAfter(mapping, keyColumns, { kind: "delete", before });
  }

  #addUpdate(
    change: CollectedChange & { readonly kind: "update" },
    keyColumns: readonly number[],
  ): void {
    const { mapping, before, row } = change;
    if (row.size > maxCopiedRowBytes) return this.#addSingle(change);
    // an UPDATE also keeps what the target's row has in columns that the source does not send
    if (before !== row && !isSameKey(keyColumns, before, row, before)) {
      return this.#addSingle(change);
    }
    const group = this.#indexedGroup(mapping, keyColumns);
    const known = group.find(before);
    if (known === undefined) group.put(change);
    else if (known.kind === "delete") {
      this.#putAfter(mapping, keyColumns, { kind: "update", before, row });
    } else group.put({ ...known, row: merge(known.row, row) });
  }

  /** Puts it into a new group of the table. */
  #putAfter(mapping: TableMapping, keyColumns: readonly number[], state: RowState): void {
    const group = this.#nextGroup(mapping, keyColumns);
    group.index();
    group.find(state.before);
    group.put(state);
  }

  /** The rows of a table without a key. */
  #rows(mapping: TableMapping): Tuple[] {
    const known = this.#openItem(mapping);
    if (known?.kind === "rows") return known.rows;
    const rows: Tuple[] = [];
    this.#push({ kind: "rows", mapping, rows });
    return rows;
  }

  #group(mapping: TableMapping, keyColumns: readonly number[]): RowGroup {
    const known = this.#openItem(mapping);
    return known?.kind === "group" ? known : this.#nextGroup(mapping, keyColumns);
  }

  /** A group whose rows can be found. */
  #indexedGroup(mapping: TableMapping, keyColumns: readonly number[]): RowGroup {
    const group = this.#group(mapping, keyColumns);
    if (group.index()) return group;
    const next = this.#nextGroup(mapping, keyColumns);
    next.index();
    return next;
  }

  #nextGroup(mapping: TableMapping, keyColumns: readonly number[]): RowGroup {
    const group = new RowGroup(mapping, keyColumns);
    this.#push(group);
    return group;
  }

  /** The item that takes more changes of a table. */
  #openItem(mapping: TableMapping): OpenItem | undefined {
    const known = this.#open.get(mapping.key);
    // an altered table has another mapping
    return known?.mapping === mapping ? known : undefined;
  }

  #push(item: OpenItem): void {
    this.#items.push(item);
    this.#open.set(item.mapping.key, item);
  }
}

function merge(earlier: Tuple, later: Tuple): Tuple {
  if (!later.isPartial) return later;
  const values = earlier.values();
  return Tuple.of(later.values().map((value, at) => value === undefined ? values[at] : value));
}
