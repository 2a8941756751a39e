/**
 * Unique and exclusion constraints that are DEFERRABLE: the server checks them with a trigger,
 * which does not fire for changes that are applied. Pure.
 *
 * @module
 */
import { quoteIdentifier } from "../core/internal.ts";
import type { Tuple } from "../postgres/internal.ts";
import {
  type DeferrableExclusion,
  type DeferrableKey,
  qualifiedOperator,
  type TargetColumn,
} from "./applied_tables.ts";
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
    return isChecked(mapping) ? [mapping] : [];
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
      if (!isChecked(mapping)) continue;
      const rows = written.get(mapping) ?? [];
      written.set(mapping, rows);
      for (const row of writtenRows(item)) rows.push(row);
    }
  }
  return [...written].flatMap(([mapping, rows]) => {
    const { deferrableKeys, deferrableExclusions } = mapping.table;
    return [
      ...deferrableKeys.flatMap((key) => checkSteps(mapping, { key, rows })),
      ...(rows.length === 0
        ? []
        : deferrableExclusions.map((exclusion) => exclusionCheck(mapping, { exclusion, rows }))),
    ];
  });
}

function isChecked({ table: { deferrableKeys, deferrableExclusions } }: TableMapping): boolean {
  return deferrableKeys.length > 0 || deferrableExclusions.length > 0;
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
  const { deferrableKeys, deferrableExclusions } = mapping.table;
  return [
    ...deferrableExclusions.map((exclusion) => exclusionCheck(mapping, { exclusion, rows: [] })),
    ...duplicateChecks(mapping, deferrableKeys),
  ];
}

function duplicateChecks(
  mapping: TableMapping,
  keys: readonly DeferrableKey[],
): readonly Step[] {
  return keys.flatMap((key): readonly Step[] => {
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

/**
 * Compares rows as they are now, not as they were written: they may have been changed again since.
 *
 * @param rows those that are compared with all others, if they can be found by their keys; all rows
 * are compared if there are none
 */
function exclusionCheck(
  mapping: TableMapping,
  { exclusion: { name, parts, predicate }, rows }: {
    readonly exclusion: DeferrableExclusion;
    readonly rows: readonly WrittenRow[];
  },
): Step {
  const { table, keyColumns = [] } = mapping;
  const tuples = rows.map(({ row }) => row);
  const canFind = keyColumns.length > 0 &&
    keyColumns.every((position) =>
      mapping.columns[position]?.arrayType !== 0 &&
      tuples.every((row) => row.value(position) !== undefined)
    );
  const found = canFind && rows.length > 0 ? keyColumns : [];
  const side = (keys: readonly number[]) =>
    `(SELECT ${
      [
        "tableoid AS seren_table",
        "ctid AS seren_row",
        ...parts.map(({ expression }, at) => `${expression} AS seren_x${at}`),
        ...keys.map((position) =>
          `${quoteIdentifier(mapping.columns[position]?.name ?? "")} AS seren_k${position}`
        ),
      ].join(", ")
    } FROM ${onlyRelation(table)}${predicate === null ? "" : ` WHERE ${predicate}`})`;
  const excludes = parts.map((part, at) =>
    `a.seren_x${at} OPERATOR(${qualifiedOperator(part)}) b.seren_x${at}`
  );
  const arrays = new ColumnArrays();
  const keys = found.map((position) => {
    const column = mapping.columns[position] as TargetColumn;
    const value = arrays.add(mapping, position, tuples);
    return `a.seren_k${position} OPERATOR(${equals(mapping, column)}) ${value}`;
  });
  const [row] = rows;
  return {
    ...base(mapping),
    kind: "bind",
    sql: `SELECT FROM ${found.length === 0 ? "" : `${arrays.source} JOIN `}${side(found)} AS a${
      found.length === 0 ? "" : ` ON ${keys.join(" AND ")}`
    } JOIN ${
      side([])
    } AS b ON (a.seren_table, a.seren_row) OPERATOR(pg_catalog.<>) (b.seren_table, b.seren_row) AND ${
      excludes.join(" AND ")
    } LIMIT 1`,
    types: arrays.types,
    parameters: arrays.parameters,
    isRepeated: true,
    rows: 0,
    change: rows.length === 1 ? row?.change : undefined,
    otherwise: `rows that the DEFERRABLE constraint ${name} excludes from each other`,
  };
}
