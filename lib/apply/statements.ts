/**
 * The statements that apply collected changes. Pure.
 *
 * Values are passed on as the source printed them: parameters in text format and lines of COPY are
 * read by the input functions of the target's types, so that no cast, which a user could define,
 * is involved.
 *
 * @module
 */
import {
  cutoverSchema,
  displayName,
  quoteIdentifier,
  quoteLiteral,
  quoteQualified,
} from "../core/internal.ts";
import type { CollectedChange, Item } from "./collect.ts";
import type { RowGroup } from "./row_group.ts";
import type { ColumnValue, Tuple } from "../postgres/internal.ts";
import type { TableMapping } from "./table_mapping.ts";
import type { MappedTable, TargetColumn } from "./applied_tables.ts";

/** One statement, and how many rows it must affect. */
export type Step =
  & {
    /** The number of rows expected in the command tag; undefined if it has none. */
    readonly rows: number | undefined;
    /** For errors: `table orders`. */
    readonly object: string;
    /** The change, if the statement applies only one. */
    readonly change: CollectedChange | undefined;
    /** What another number of rows means, if it is not that a row is missing. */
    readonly otherwise?: string;
  }
  & (
    | { readonly kind: "copy"; readonly sql: string; readonly lines: readonly Tuple[] }
    | {
      readonly kind: "bind";
      readonly sql: string;
      /** OIDs of the parameters' types. */
      readonly types: readonly number[];
      readonly parameters: readonly StatementParameter[];
      /** Whether the statement is used for many changes, so that the server should keep it. */
      readonly isRepeated: boolean;
    }
    | { readonly kind: "query"; readonly sql: string }
  );

/** A parameter: a value, or an array of values of one column. */
export type StatementParameter = { readonly value: ColumnValue } | ArrayParameter;

/** An array of the values of one column. */
export interface ArrayParameter {
  /** The column's position in each row. */
  readonly position: number;
  readonly rows: readonly Tuple[];
  /** Between elements: a comma, except for arrays of `box`. */
  readonly delimiter: string;
}

/**
 * Settings of the session, so that rows are found through the index of their key. The number of
 * rows is unknown when a statement that the server keeps is planned, and a plan that reads the
 * whole table for each statement would be chosen, or be kept from when the table was small.
 */
export const plannerSettings: Readonly<Record<string, string>> = {
  plan_cache_mode: "force_generic_plan",
  enable_hashjoin: "off",
  enable_mergejoin: "off",
  enable_seqscan: "off",
  // a plan that cannot do without a disabled method looks expensive enough to be compiled
  jit: "off",
};

/**
 * For a table without an index of its key, which would be read once for each row otherwise, and for
 * the statements of users' triggers.
 */
const freePlannerSettings: Readonly<Record<string, string>> = {
  plan_cache_mode: "auto",
  enable_hashjoin: "on",
  enable_mergejoin: "on",
  enable_seqscan: "on",
};

/** The statements for collected changes, in order. */
export function planSteps(items: readonly Item[]): readonly Step[] {
  return items.flatMap((item) => {
    const steps = itemSteps(item);
    const tables = tablesOf(item);
    return tables.some(({ firesTriggers }) => firesTriggers)
      ? withFreePlanner(steps, { object: namesOf(tables) })
      : steps;
  });
}

/** What has to precede the COMMIT after changes of some tables. */
export function planCommit(tables: Iterable<MappedTable>): readonly Step[] {
  const late = [...tables].filter(({ firesLateTriggers }) => firesLateTriggers);
  return late.length === 0 ? [] : [settingsStep({ object: namesOf(late) }, freePlannerSettings)];
}

function itemSteps(item: Item): readonly Step[] {
  switch (item.kind) {
    case "group":
      return groupSteps(item);
    case "rows":
      return [copyStep(item.mapping, item.rows)];
    case "single":
      return [singleStep(item.change)];
    case "truncate":
      return truncateSteps(item.tables, item.restartsIdentity);
  }
}

function tablesOf(item: Item): readonly MappedTable[] {
  if (item.kind === "truncate") return item.tables;
  return [(item.kind === "single" ? item.change.mapping : item.mapping).table];
}

function namesOf(tables: readonly MappedTable[]): string {
  return tables.map((table) => `table ${displayName(table)}`).join(", ");
}

function groupSteps({ mapping, isIndexed, inserted: rows, states }: RowGroup): readonly Step[] {
  if (!isIndexed) return [copyStep(mapping, rows)];
  const deleted: Tuple[] = [];
  const inserted: Tuple[] = [];
  const updated: UpdatedRow[] = [];
  for (const state of states) {
    if (state.kind === "delete" || state.kind === "replace") deleted.push(state.before);
    if (state.kind === "insert" || state.kind === "replace") inserted.push(state.row);
    if (state.kind === "update") updated.push(state);
  }
  const whole = updated.filter(({ row }) => !row.isPartial);
  const partial = Map.groupBy(
    updated.filter(({ row }) => row.isPartial),
    ({ row }) => row.values().map((value) => value === undefined ? "-" : "+").join(""),
  );
  return [
    ...(deleted.length === 0 ? [] : deleteSteps(mapping, deleted)),
    ...[whole, ...partial.values()].flatMap((group) => updateSteps(mapping, group)),
    ...(inserted.length === 0 ? [] : [copyStep(mapping, inserted)]),
  ];
}

interface UpdatedRow {
  readonly before: Tuple;
  readonly row: Tuple;
}

/** What each statement of a table says of itself. */
export function base({ table }: Pick<TableMapping, "table">): { readonly object: string } {
  return { object: `table ${displayName(table)}` };
}

function relationOf({ schema, name }: MappedTable): string {
  return quoteQualified(schema, name);
}

/** The table without child tables, whose changes the source sends under their own names. */
export function onlyRelation(table: MappedTable): string {
  return table.isPartitioned ? relationOf(table) : `ONLY ${relationOf(table)}`;
}

function copyStep(mapping: TableMapping, lines: readonly Tuple[]): Step {
  if (mapping.columns.length === 0) {
    return {
      ...base(mapping),
      kind: "query",
      sql: `INSERT INTO ${
        relationOf(mapping.table)
      } SELECT FROM pg_catalog.generate_series(1, ${lines.length})`,
      rows: lines.length,
      change: undefined,
    };
  }
  const columns = mapping.columns.map(({ name }) => quoteIdentifier(name)).join(", ");
  return {
    ...base(mapping),
    kind: "copy",
    sql: `COPY ${relationOf(mapping.table)} (${columns}) FROM STDIN (FORMAT text)`,
    lines,
    rows: lines.length,
    change: undefined,
  };
}

/** The operator that compares a column as a unique index does. */
export function equals({ table }: TableMapping, { name }: TargetColumn): string {
  return table.keyOperators.get(name) ?? "pg_catalog.=";
}

/** The arrays of some columns, joined to the table as `v`. */
export class ColumnArrays {
  readonly types: number[] = [];
  readonly parameters: StatementParameter[] = [];

  /** Adds the values of a column; returns how the statement names them. */
  add(mapping: TableMapping, position: number, rows: readonly Tuple[]): string {
    const { arrayType, delimiter } = columnAt(mapping, position);
    this.types.push(arrayType);
    this.parameters.push({ position, rows, delimiter });
    return `v.c${this.parameters.length}`;
  }

  /** With the number of each change as `v.n`. */
  get source(): string {
    const numbers = this.parameters.map((_, index) => index + 1);
    return `ROWS FROM (${
      numbers.map((number) => `pg_catalog.unnest($${number})`).join(", ")
    }) WITH ORDINALITY AS v (${numbers.map((number) => `c${number}, `).join("")}n)`;
  }
}

/**
 * A statement whose tag counts the changes that affected exactly one row. Only where an index
 * guarantees that no change can affect two, the number of affected rows says the same.
 */
function countingChanges({ hasKeyIndex }: TableMapping, sql: string): string {
  if (hasKeyIndex) return sql;
  return `WITH changed AS (${sql} RETURNING v.n)
    SELECT FROM changed GROUP BY n HAVING pg_catalog.count(*) OPERATOR(pg_catalog.=) 1`;
}

/**
 * Whether a row that is missing is an error. A token of a cutover may be: a stream that is reversed
 * skips those which were not applied.
 */
function isCounted({ table }: TableMapping): boolean {
  return table.schema !== cutoverSchema;
}

/** A statement for many rows, with settings of its own if no index finds them. */
function arrayStep(
  mapping: TableMapping,
  { sql, arrays, rows }: {
    readonly sql: string;
    readonly arrays: ColumnArrays;
    readonly rows: number;
  },
): readonly Step[] {
  const { hasKeyIndex } = mapping;
  const step: Step = {
    ...base(mapping),
    kind: "bind",
    sql,
    types: arrays.types,
    parameters: arrays.parameters,
    isRepeated: hasKeyIndex,
    rows: isCounted(mapping) ? rows : undefined,
    change: undefined,
  };
  return hasKeyIndex ? [step] : withFreePlanner([step], base(mapping));
}

function withFreePlanner(
  steps: readonly Step[],
  about: Pick<Step, "object">,
): readonly Step[] {
  return [
    settingsStep(about, freePlannerSettings),
    ...steps,
    settingsStep(about, plannerSettings),
  ];
}

/** Until the end of the transaction. */
function settingsStep(
  { object }: Pick<Step, "object">,
  settings: Readonly<Record<string, string>>,
): Step {
  const calls = Object.entries(settings).map(([name, value]) =>
    `pg_catalog.set_config(${quoteLiteral(name)}, ${quoteLiteral(value)}, true)`
  );
  return {
    object,
    kind: "query",
    sql: `SELECT ${calls.join(", ")}`,
    rows: 1,
    change: undefined,
  };
}

/** Conditions that find the rows of `t` by their keys. */
function keyConditions(
  mapping: TableMapping,
  arrays: ColumnArrays,
  rows: readonly Tuple[],
): readonly string[] {
  return (mapping.keyColumns ?? []).map((position) => {
    const column = columnAt(mapping, position);
    const value = arrays.add(mapping, position, rows);
    return `t.${quoteIdentifier(column.name)} OPERATOR(${equals(mapping, column)}) ${value}`;
  });
}

function columnAt({ columns }: TableMapping, position: number): TargetColumn {
  const column = columns[position];
  if (column === undefined) throw new RangeError(`no column at ${position}`);
  return column;
}

function haveArrays(mapping: TableMapping, positions: readonly number[]): boolean {
  return positions.every((position) => columnAt(mapping, position).arrayType !== 0);
}

/** @param rows with the values of their keys */
function deleteSteps(mapping: TableMapping, rows: readonly Tuple[]): readonly Step[] {
  const { keyColumns = [] } = mapping;
  const [first] = rows;
  if (first !== undefined && (rows.length === 1 || !haveArrays(mapping, keyColumns))) {
    return rows.map((before) => singleStep({ kind: "delete", mapping, before }));
  }
  const arrays = new ColumnArrays();
  const conditions = keyConditions(mapping, arrays, rows);
  return arrayStep(mapping, {
    sql: countingChanges(
      mapping,
      `DELETE FROM ${onlyRelation(mapping.table)} AS t USING ${arrays.source} WHERE ${
        conditions.join(" AND ")
      }`,
    ),
    arrays,
    rows: rows.length,
  });
}

/** @param rows with values for the same columns */
function updateSteps(mapping: TableMapping, rows: readonly UpdatedRow[]): readonly Step[] {
  const { keyColumns = [], settable, fixed } = mapping;
  const [first] = rows;
  if (first === undefined) return [];
  const values = first.row.values();
  const sent = (position: number) => values[position] !== undefined;
  const set = settable.filter(sent);
  const kept = fixed.filter(sent);
  if (rows.length === 1 || !haveArrays(mapping, [...keyColumns, ...set, ...kept])) {
    return rows.map(({ before, row }) => singleStep({ kind: "update", mapping, before, row }));
  }
  const arrays = new ColumnArrays();
  const after = rows.map(({ row }) => row);
  const conditions = [
    ...keyConditions(mapping, arrays, rows.map(({ before }) => before)),
    ...kept.map((position) => {
      const column = columnAt(mapping, position);
      const value = arrays.add(mapping, position, after);
      return `t.${quoteIdentifier(column.name)} OPERATOR(${equals(mapping, column)}) ${value}`;
    }),
  ].join(" AND ");
  const assignments = set.map((position) => {
    const value = arrays.add(mapping, position, after);
    return `${quoteIdentifier(columnAt(mapping, position).name)} = ${value}`;
  });
  return arrayStep(mapping, {
    // the row must exist even if nothing is to be set
    sql: assignments.length === 0
      ? `SELECT FROM ${onlyRelation(mapping.table)} AS t, ${arrays.source} WHERE ${conditions}`
      : countingChanges(
        mapping,
        `UPDATE ${onlyRelation(mapping.table)} AS t SET ${
          assignments.join(", ")
        } FROM ${arrays.source} WHERE ${conditions}`,
      ),
    arrays,
    rows: rows.length,
  });
}

/** Numbered parameters of a statement for one row. */
export class ValueParameters {
  readonly types: number[] = [];
  readonly parameters: StatementParameter[] = [];

  add({ type }: Pick<TargetColumn, "type">, value: ColumnValue): string {
    this.types.push(type);
    this.parameters.push({ value });
    return `$${this.parameters.length}`;
  }
}

function singleStep(change: CollectedChange): Step {
  const { mapping } = change;
  const values = new ValueParameters();
  const sql = change.kind === "insert"
    ? insertSql(mapping, change.row, values)
    : change.kind === "delete"
    ? `DELETE FROM ${onlyRelation(mapping.table)} AS t WHERE ${rowCondition(change, values)}`
    : changesFixed(change)
    ? replaceSql(change, values)
    : updateSql(change, values);
  return {
    ...base(mapping),
    kind: "bind",
    sql,
    types: values.types,
    parameters: values.parameters,
    isRepeated: true,
    rows: change.kind === "insert" || isCounted(mapping) ? 1 : undefined,
    change,
  };
}

function insertSql(mapping: TableMapping, row: Tuple, values: ValueParameters): string {
  if (mapping.columns.length === 0) {
    return `INSERT INTO ${relationOf(mapping.table)} DEFAULT VALUES`;
  }
  const columns = mapping.columns.map(({ name }) => quoteIdentifier(name)).join(", ");
  const sent = row.values();
  const list = mapping.columns.map((column, position) => values.add(column, sent[position]));
  return `INSERT INTO ${relationOf(mapping.table)} (${columns}) OVERRIDING SYSTEM VALUE VALUES (${
    list.join(", ")
  })`;
}

type Update = CollectedChange & { readonly kind: "update" };

/** Whether it changes a column that no UPDATE can set, as far as the old value is known. */
function changesFixed({ mapping, before, row }: Update): boolean {
  if (before === row) return false;
  const { columns, relation, keyColumns = [] } = mapping;
  const [next, previous] = [row.values(), before.values()];
  return columns.some(({ isIdentityAlways }, position) =>
    isIdentityAlways && next[position] !== undefined &&
    (relation.isIdentityFull || keyColumns.includes(position)) &&
    !sameValue(next[position], previous[position])
  );
}

/** Deletes the row and inserts it with its new values, and what else it had. */
function replaceSql(change: Update, values: ValueParameters): string {
  const { mapping: { table, columns }, row } = change;
  const condition = rowCondition(change, values);
  const sent = row.values();
  const known = new Map(columns.flatMap((column, position) => {
    const value = sent[position];
    return value === undefined ? [] : [[column.name, values.add(column, value)] as const];
  }));
  const names = [...table.columns.keys()];
  return `WITH old AS (DELETE FROM ${onlyRelation(table)} AS t WHERE ${condition} RETURNING t.*)
    INSERT INTO ${relationOf(table)} (${
    names.map(quoteIdentifier).join(", ")
  }) OVERRIDING SYSTEM VALUE SELECT ${
    names.map((name) => known.get(name) ?? `old.${quoteIdentifier(name)}`).join(", ")
  } FROM old`;
}

function updateSql(change: Update, values: ValueParameters): string {
  const { mapping, row, before } = change;
  const { table, keyColumns = [], settable, fixed } = mapping;
  const [next, previous] = [row.values(), before.values()];
  const changedKeys = keyColumns.filter((position) =>
    !sameValue(next[position], previous[position])
  );
  const set = [...changedKeys, ...settable].filter((position) => next[position] !== undefined);
  const assignments = set.map((position) => {
    const column = columnAt(mapping, position);
    return `${quoteIdentifier(column.name)} = ${values.add(column, next[position])}`;
  });
  const kept = fixed.filter((position) => next[position] !== undefined).map((position) => {
    const column = columnAt(mapping, position);
    return ` AND t.${quoteIdentifier(column.name)} OPERATOR(${equals(mapping, column)}) ${
      values.add(column, next[position])
    }`;
  });
  const condition = `${rowCondition(change, values)}${kept.join("")}`;
  return assignments.length === 0
    ? `SELECT FROM ${onlyRelation(table)} AS t WHERE ${condition}`
    : `UPDATE ${onlyRelation(table)} AS t SET ${assignments.join(", ")} WHERE ${condition}`;
}

/** Finds the row: by its key, or one of those that are identical to it. */
function rowCondition(
  { mapping, before }: CollectedChange & { readonly before: Tuple },
  values: ValueParameters,
): string {
  const old = before.values();
  if (mapping.keyColumns !== undefined) {
    return mapping.keyColumns.map((position) => {
      const column = columnAt(mapping, position);
      return `t.${quoteIdentifier(column.name)} OPERATOR(${equals(mapping, column)}) ${
        values.add(column, old[position])
      }`;
    }).join(" AND ");
  }
  const conditions = mapping.columns.map((column, position) =>
    identical(column, old[position], values)
  );
  return `(t.tableoid, t.ctid) OPERATOR(pg_catalog.=) (SELECT o.tableoid, o.ctid FROM ${
    onlyRelation(mapping.table)
  } AS o WHERE ${conditions.length === 0 ? "true" : conditions.join(" AND ")} LIMIT 1)`;
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

/**
 * A table with foreign keys that wait for COMMIT cannot be truncated: those that this tool made
 * wait held on the source at this point. If others do not hold yet, all keep waiting.
 */
const checkConstraints = `DO $$ BEGIN
  SET CONSTRAINTS ALL IMMEDIATE;
  SET CONSTRAINTS ALL DEFERRED;
EXCEPTION WHEN integrity_constraint_violation THEN
  NULL;
END $$`;

function truncateSteps(
  tables: readonly MappedTable[],
  restartsIdentity: boolean,
): readonly Step[] {
  const truncate = `TRUNCATE ${tables.map(onlyRelation).join(", ")}${
    restartsIdentity ? " RESTART IDENTITY" : ""
  }`;
  return [checkConstraints, truncate].map((sql) => ({
    kind: "query",
    object: namesOf(tables),
    sql,
    rows: undefined,
    change: undefined,
  }));
}
