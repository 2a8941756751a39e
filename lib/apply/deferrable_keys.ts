/**
 * Unique constraints that are DEFERRABLE: the server checks them with a trigger, which does not
 * fire for changes that are applied. Pure.
 *
 * @module
 */
import { quoteIdentifier } from "../core/internal.ts";
import type { Tuple } from "../postgres/internal.ts";
import type { DeferrableKey } from "./applied_tables.ts";
import type { CollectedChange, Item } from "./collect.ts";
import {
  base,
  ColumnArrays,
  equals,
  onlyRelation,
  type Step,
  ValueParameters,
} from "./statements.ts";
import type { TableMapping } from "./table_mapping.ts";

interface WrittenRow {
  readonly row: Tuple;
  /** Undefined if it was combined with others. */
  readonly change: CollectedChange | undefined;
}

/** Plans the checks of consecutive batches. */
export class KeyChecks {
  /** By {@linkcode TableMapping.key}: tables that earlier parts of the transaction have changed. */
  readonly #postponed = new Map<string, TableMapping>();

  /**
   * Statements that find duplicates of the written values; they follow all statements of the
   * changes, which may exchange values. Within a transaction duplicates may exist: a table that a
   * large one changes in several parts is checked as a whole at its end.
   *
   * @param options.isComplete whether no transaction continues in the next batch
   */
  plan(
    items: readonly Item[],
    { isComplete }: { readonly isComplete: boolean },
  ): readonly Step[] {
    if (!isComplete) {
      for (const mapping of writtenTables(items)) this.#postponed.set(mapping.key, mapping);
      return [];
    }
    const postponed = [...this.#postponed.values()];
    const others = items.filter((item) =>
      item.kind === "truncate" || !this.#postponed.has(mappingOf(item).key)
    );
    this.#postponed.clear();
    return [...planKeyChecks(others), ...postponed.flatMap(tableChecks)];
  }
}

function mappingOf(item: Exclude<Item, { readonly kind: "truncate" }>): TableMapping {
  return item.kind === "single" ? item.change.mapping : item.mapping;
}

function writtenTables(items: readonly Item[]): readonly TableMapping[] {
  return items.flatMap((item) => {
    if (item.kind === "truncate") return [];
    const mapping = mappingOf(item);
    return mapping.table.deferrableKeys.length === 0 ? [] : [mapping];
  });
}

function planKeyChecks(items: readonly Item[]): readonly Step[] {
  const written = new Map<TableMapping, WrittenRow[]>();
  for (const item of items) {
    if (item.kind === "truncate") {
      for (const mapping of written.keys()) {
        if (item.tables.includes(mapping.table)) written.delete(mapping);
      }
    } else {
      const mapping = mappingOf(item);
      if (mapping.table.deferrableKeys.length === 0) continue;
      const rows = written.get(mapping) ?? [];
      written.set(mapping, rows);
      for (const row of writtenRows(item)) rows.push(row);
    }
  }
  return [...written].flatMap(([mapping, rows]) =>
    mapping.table.deferrableKeys.flatMap((key) => checkSteps(mapping, { key, rows }))
  );
}

function writtenRows(item: Exclude<Item, { readonly kind: "truncate" }>): readonly WrittenRow[] {
  switch (item.kind) {
    case "single":
      return item.change.kind === "delete" ? [] : [{ row: item.change.row, change: item.change }];
    case "rows":
      return item.rows.map((row) => ({ row, change: undefined }));
    case "group":
      return [
        ...item.inserted.map((row) => ({ row, change: undefined })),
        ...item.states.flatMap((state) =>
          state.kind === "delete" ? [] : [{ row: state.row, change: undefined }]
        ),
      ];
  }
}

/** Statements that find duplicates anywhere in a table. */
function tableChecks(mapping: TableMapping): readonly Step[] {
  return mapping.table.deferrableKeys.flatMap((key): readonly Step[] => {
    if (!areSent(mapping, key)) return [];
    const columns = key.columns.map((name) => `t.${quoteIdentifier(name)}`).join(", ");
    return [{
      ...base(mapping),
      kind: "query",
      sql: `SELECT FROM ${onlyRelation(mapping.table)} AS t
        WHERE pg_catalog.num_nulls(${columns}) OPERATOR(pg_catalog.=) 0
        GROUP BY ${columns} HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 1 LIMIT 1`,
      rows: 0,
      change: undefined,
      otherwise: duplicatesOf(key),
    }];
  });
}

function duplicatesOf({ name }: DeferrableKey): string {
  return `duplicate values of the DEFERRABLE key ${name}`;
}

/** A column of the target only has the same default in all written rows, or a value of its own. */
function areSent({ columns }: TableMapping, key: DeferrableKey): boolean {
  return key.columns.every((name) => columns.some((column) => column.name === name));
}

function checkSteps(
  mapping: TableMapping,
  { key, rows }: { readonly key: DeferrableKey; readonly rows: readonly WrittenRow[] },
): readonly Step[] {
  const positions = key.columns.map((name) =>
    mapping.columns.findIndex((column) => column.name === name)
  );
  if (!areSent(mapping, key)) return [];
  const isSent = ({ row }: WrittenRow) =>
    positions.every((position) => row.value(position) !== undefined);
  const alone = rows.filter((each) => each.change !== undefined && isSent(each));
  const combined = rows.filter((each) => each.change === undefined && isSent(each));
  const hasArrays = positions.every((position) => mapping.columns[position]?.arrayType !== 0);
  const common = {
    ...base(mapping),
    kind: "bind" as const,
    isRepeated: true,
    rows: 0,
    otherwise: duplicatesOf(key),
  };
  return [
    ...(combined.length === 0 || !hasArrays
      ? []
      : [{ ...common, ...arrayCheck(mapping, { positions, rows: combined }), change: undefined }]),
    ...[...alone, ...(hasArrays ? [] : combined)].map(({ row, change }) => ({
      ...common,
      ...rowCheck(mapping, { positions, row }),
      change,
    })),
  ];
}

function arrayCheck(
  mapping: TableMapping,
  { positions, rows }: {
    readonly positions: readonly number[];
    readonly rows: readonly WrittenRow[];
  },
): Pick<Step & { readonly kind: "bind" }, "sql" | "types" | "parameters"> {
  const arrays = new ColumnArrays();
  const tuples = rows.map(({ row }) => row);
  const conditions = positions.map((position) =>
    condition(mapping, { position, value: arrays.add(mapping, position, tuples) })
  );
  return {
    sql: `SELECT FROM ${arrays.source} WHERE ${count(mapping, conditions)}`,
    types: arrays.types,
    parameters: arrays.parameters,
  };
}

function rowCheck(
  mapping: TableMapping,
  { positions, row }: { readonly positions: readonly number[]; readonly row: Tuple },
): Pick<Step & { readonly kind: "bind" }, "sql" | "types" | "parameters"> {
  const values = new ValueParameters();
  const conditions = positions.map((position) => {
    const column = mapping.columns[position];
    const value = values.add({ type: column?.type ?? 0 }, row.value(position));
    return condition(mapping, { position, value });
  });
  return {
    sql: `SELECT WHERE ${count(mapping, conditions)}`,
    types: values.types,
    parameters: values.parameters,
  };
}

function condition(
  mapping: TableMapping,
  { position, value }: { readonly position: number; readonly value: string },
): string {
  const column = mapping.columns[position];
  if (column === undefined) throw new RangeError(`no column at ${position}`);
  return `t.${quoteIdentifier(column.name)} OPERATOR(${equals(mapping, column)}) ${value}`;
}

function count({ table }: TableMapping, conditions: readonly string[]): string {
  return `(SELECT pg_catalog.count(*) FROM ${onlyRelation(table)} AS t WHERE ${
    conditions.join(" AND ")
  }) OPERATOR(pg_catalog.>) 1`;
}
