/**
 * The statements that apply collected changes. Pure.
 *
 * Values are passed on as the source printed them: parameters in text format and lines of COPY are
 * read by the input functions of the target's types, so that no cast, which a user could define,
 * is involved.
 *
 * @module
 */
import { displayName, quoteIdentifier, quoteQualified } from "../core/internal.ts";
import type { Item, RowChange, RowState } from "./collect.ts";
import type { ColumnValue, Tuple } from "../postgres/internal.ts";
import type { TablePlan } from "./table_plan.ts";
import type { TargetColumn, TargetTable } from "./target_tables.ts";

/** One statement, and how many rows it has to affect. */
export type Step =
  & {
    /** Rows that the command tag has to name; undefined if it names none. */
    readonly rows: number | undefined;
    /** For errors: `table orders`. */
    readonly object: string;
    /** The change, if the statement applies only one. */
    readonly change: RowChange | undefined;
  }
  & (
    | { readonly kind: "copy"; readonly sql: string; readonly lines: readonly Tuple[] }
    | {
      readonly kind: "bind";
      readonly sql: string;
      /** OIDs of the parameters' types. */
      readonly types: readonly number[];
      readonly parameters: readonly Parameter[];
      /** Whether the statement is used for many changes, so that the server should keep it. */
      readonly isRepeated: boolean;
    }
    | { readonly kind: "query"; readonly sql: string }
  );

/** A parameter: a value, or an array of values of one column. */
export type Parameter =
  | { readonly value: ColumnValue }
  | { readonly elements: readonly ColumnValue[]; readonly delimiter: string };

/** The statements for collected changes, in order. */
export function planSteps(items: readonly Item[]): readonly Step[] {
  return items.flatMap((item) => {
    switch (item.kind) {
      case "group":
        return groupSteps(item.plan, [...item.rows.values()]);
      case "rows":
        return [copyStep(item.plan, item.rows)];
      case "single":
        return [singleStep(item.change)];
      case "truncate":
        return [truncateStep(item.tables, item.restartsIdentity)];
    }
  });
}

function groupSteps(plan: TablePlan, rows: readonly RowState[]): readonly Step[] {
  const deleted = rows.filter(({ kind }) => kind === "delete" || kind === "replace");
  const inserted = rows.filter(({ kind }) => kind === "insert" || kind === "replace");
  const updated = Map.groupBy(
    rows.filter(({ kind }) => kind === "update"),
    ({ row }) => row.map((value) => value === undefined ? "-" : "+").join(""),
  );
  return [
    ...(deleted.length === 0 ? [] : deleteSteps(plan, deleted)),
    ...[...updated.values()].flatMap((group) => updateSteps(plan, group)),
    ...(inserted.length === 0 ? [] : [copyStep(plan, inserted.map(({ row }) => row))]),
  ];
}

function base({ table }: Pick<TablePlan, "table">): { readonly object: string } {
  return { object: `table ${displayName(table)}` };
}

function relationOf({ schema, name }: TargetTable): string {
  return quoteQualified(schema, name);
}

/** Without child tables, whose changes the source sends under their own names. */
function onlyRelation(table: TargetTable): string {
  return table.isPartitioned ? relationOf(table) : `ONLY ${relationOf(table)}`;
}

function copyStep(plan: TablePlan, lines: readonly Tuple[]): Step {
  const columns = plan.columns.map(({ name }) => quoteIdentifier(name)).join(", ");
  return {
    ...base(plan),
    kind: "copy",
    sql: `COPY ${relationOf(plan.table)} (${columns}) FROM STDIN (FORMAT text)`,
    lines,
    rows: lines.length,
    change: undefined,
  };
}

function equals({ table }: TablePlan, { name }: TargetColumn): string {
  return table.keyOperators.get(name) ?? "OPERATOR(pg_catalog.=)";
}

/** The arrays of some columns, joined to the table as `v`. */
class ColumnArrays {
  readonly types: number[] = [];
  readonly parameters: Parameter[] = [];

  /** Adds a column with its values; returns how the statement names it. */
  add({ arrayType, delimiter }: TargetColumn, elements: readonly ColumnValue[]): string {
    this.types.push(arrayType);
    this.parameters.push({ elements, delimiter });
    return `v.c${this.parameters.length}`;
  }

  get source(): string {
    const numbers = this.parameters.map((_, index) => index + 1);
    return `ROWS FROM (${
      numbers.map((number) => `pg_catalog.unnest($${number})`).join(", ")
    }) AS v (${numbers.map((number) => `c${number}`).join(", ")})`;
  }
}

/** Conditions that find the rows of `t` by their keys. */
function keyConditions(
  plan: TablePlan,
  arrays: ColumnArrays,
  rows: readonly RowState[],
): readonly string[] {
  return (plan.keyColumns ?? []).map((position, at) => {
    const column = columnAt(plan, position);
    const value = arrays.add(column, rows.map(({ key }) => key[at]));
    return `t.${quoteIdentifier(column.name)} ${equals(plan, column)} ${value}`;
  });
}

function columnAt({ columns }: TablePlan, position: number): TargetColumn {
  const column = columns[position];
  if (column === undefined) throw new RangeError(`no column at ${position}`);
  return column;
}

function haveArrays(plan: TablePlan, positions: readonly number[]): boolean {
  return positions.every((position) => columnAt(plan, position).arrayType !== 0);
}

function deleteSteps(plan: TablePlan, rows: readonly RowState[]): readonly Step[] {
  const { keyColumns = [] } = plan;
  const [first] = rows;
  if (first !== undefined && (rows.length === 1 || !haveArrays(plan, keyColumns))) {
    return rows.map(({ key }) => singleStep({ kind: "delete", plan, before: spread(plan, key) }));
  }
  const arrays = new ColumnArrays();
  const conditions = keyConditions(plan, arrays, rows);
  return [{
    ...base(plan),
    kind: "bind",
    sql: `DELETE FROM ${onlyRelation(plan.table)} AS t USING ${arrays.source} WHERE ${
      conditions.join(" AND ")
    }`,
    types: arrays.types,
    parameters: arrays.parameters,
    isRepeated: false,
    rows: rows.length,
    change: undefined,
  }];
}

/** A row with only its key's values. */
function spread({ columns, keyColumns = [] }: TablePlan, key: Tuple): Tuple {
  const row: ColumnValue[] = columns.map(() => null);
  keyColumns.forEach((position, at) => row[position] = key[at]);
  return row;
}

/** @param rows with values for the same columns */
function updateSteps(plan: TablePlan, rows: readonly RowState[]): readonly Step[] {
  const { keyColumns = [], settable, fixed } = plan;
  const [first] = rows;
  if (first === undefined) return [];
  const sent = (position: number) => first.row[position] !== undefined;
  const set = settable.filter(sent);
  const kept = fixed.filter(sent);
  if (rows.length === 1 || !haveArrays(plan, [...keyColumns, ...set, ...kept])) {
    return rows.map(({ key, row }) =>
      singleStep({ kind: "update", plan, before: spread(plan, key), row })
    );
  }
  const arrays = new ColumnArrays();
  const conditions = [
    ...keyConditions(plan, arrays, rows),
    ...kept.map((position) => {
      const column = columnAt(plan, position);
      const value = arrays.add(column, rows.map(({ row }) => row[position]));
      return `t.${quoteIdentifier(column.name)} ${equals(plan, column)} ${value}`;
    }),
  ].join(" AND ");
  const assignments = set.map((position) => {
    const column = columnAt(plan, position);
    const value = arrays.add(column, rows.map(({ row }) => row[position]));
    return `${quoteIdentifier(column.name)} = ${value}`;
  });
  const { source, types, parameters } = arrays;
  return [{
    ...base(plan),
    kind: "bind",
    // the row must exist even if nothing is to be set
    sql: assignments.length === 0
      ? `SELECT FROM ${onlyRelation(plan.table)} AS t, ${source} WHERE ${conditions}`
      : `UPDATE ${onlyRelation(plan.table)} AS t SET ${
        assignments.join(", ")
      } FROM ${source} WHERE ${conditions}`,
    types,
    parameters,
    isRepeated: false,
    rows: rows.length,
    change: undefined,
  }];
}

/** Numbered parameters of a statement for one row. */
class ValueParameters {
  readonly types: number[] = [];
  readonly parameters: Parameter[] = [];

  add({ type }: Pick<TargetColumn, "type">, value: ColumnValue): string {
    this.types.push(type);
    this.parameters.push({ value });
    return `$${this.parameters.length}`;
  }
}

function singleStep(change: RowChange): Step {
  const { plan } = change;
  const values = new ValueParameters();
  const sql = change.kind === "insert"
    ? insertSql(plan, change.row, values)
    : change.kind === "delete"
    ? `DELETE FROM ${onlyRelation(plan.table)} AS t WHERE ${rowCondition(change, values)}`
    : updateSql(change, values);
  return {
    ...base(plan),
    kind: "bind",
    sql,
    types: values.types,
    parameters: values.parameters,
    isRepeated: true,
    rows: 1,
    change,
  };
}

function insertSql(plan: TablePlan, row: Tuple, values: ValueParameters): string {
  const columns = plan.columns.map(({ name }) => quoteIdentifier(name)).join(", ");
  const list = plan.columns.map((column, position) => values.add(column, row[position]));
  return `INSERT INTO ${relationOf(plan.table)} (${columns}) OVERRIDING SYSTEM VALUE VALUES (${
    list.join(", ")
  })`;
}

function updateSql(
  change: RowChange & { readonly kind: "update" },
  values: ValueParameters,
): string {
  const { plan, row, before } = change;
  const { table, keyColumns = [], settable, fixed } = plan;
  const changedKeys = keyColumns.filter((position) =>
    row[position] !== undefined && !sameValue(row[position], before[position])
  );
  const set = [...changedKeys, ...settable].filter((position) => row[position] !== undefined);
  const assignments = set.map((position) => {
    const column = columnAt(plan, position);
    return `${quoteIdentifier(column.name)} = ${values.add(column, row[position])}`;
  });
  const kept = fixed.filter((position) => row[position] !== undefined).map((position) => {
    const column = columnAt(plan, position);
    return ` AND t.${quoteIdentifier(column.name)} ${equals(plan, column)} ${
      values.add(column, row[position])
    }`;
  });
  const condition = `${rowCondition(change, values)}${kept.join("")}`;
  return assignments.length === 0
    ? `SELECT FROM ${onlyRelation(table)} AS t WHERE ${condition}`
    : `UPDATE ${onlyRelation(table)} AS t SET ${assignments.join(", ")} WHERE ${condition}`;
}

/** Finds the row: by its key, or one of those that are identical to it. */
function rowCondition(
  { plan, before }: RowChange & { readonly before: Tuple },
  values: ValueParameters,
): string {
  if (plan.keyColumns !== undefined) {
    return plan.keyColumns.map((position) => {
      const column = columnAt(plan, position);
      return `t.${quoteIdentifier(column.name)} ${equals(plan, column)} ${
        values.add(column, before[position])
      }`;
    }).join(" AND ");
  }
  const conditions = plan.columns.map((column, position) =>
    identical(column, before[position], values)
  );
  return `(t.tableoid, t.ctid) OPERATOR(pg_catalog.=) (SELECT o.tableoid, o.ctid FROM ${
    onlyRelation(plan.table)
  } AS o WHERE ${conditions.join(" AND ")} LIMIT 1)`;
}

const textType = 25;

/**
 * Compares by the printed value: types without `=` have one, and values that are equal but not
 * identical (`1.0` and `1.00`) are different rows. `=` only makes it faster.
 */
function identical(column: TargetColumn, value: ColumnValue, values: ValueParameters): string {
  const name = `o.${quoteIdentifier(column.name)}`;
  // unlike IS NULL, also right for composite values
  if (!value) return `pg_catalog.num_nulls(${name}) OPERATOR(pg_catalog.=) 1`;
  const printed =
    `pg_catalog.num_nulls(${name}) OPERATOR(pg_catalog.=) 0 AND pg_catalog.format('%s', ${name}) OPERATOR(pg_catalog.=) ${
      values.add({ type: textType }, value)
    }`;
  return column.hasBuiltInEquality
    ? `${name} OPERATOR(pg_catalog.=) ${values.add(column, value)} AND ${printed}`
    : printed;
}

function sameValue(one: ColumnValue, other: ColumnValue): boolean {
  if (!one || !other) return one === other;
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

function truncateStep(tables: readonly TargetTable[], restartsIdentity: boolean): Step {
  return {
    kind: "query",
    object: tables.map((table) => `table ${displayName(table)}`).join(", "),
    sql: `TRUNCATE ${tables.map(onlyRelation).join(", ")}${
      restartsIdentity ? " RESTART IDENTITY" : ""
    }`,
    rows: undefined,
    change: undefined,
  };
}
