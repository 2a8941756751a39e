/**
 * Creates child tables with their columns in the source's order. Pure.
 *
 * A column added to a parent later comes last in its children, but `CREATE TABLE … INHERITS`, as
 * pg_dump writes it, puts inherited columns first. Where the table's row type is stored in a column
 * or returned by a function, values would silently change their meaning.
 *
 * Columns are added one at a time: local ones to the table, inherited ones to an empty helper
 * parent, which the real parent replaces in the end. So each column is local or inherited as on the
 * source.
 *
 * @module
 */
import { quoteIdentifier, quoteQualified, tableKey, type TableName } from "../../core/internal.ts";
import type { DumpStatement } from "./dump_reader.ts";
import { parseCreateTable, type TableDefinition, type TableItem } from "./table_definition.ts";

/** A column of a child table, as on the source. */
export interface InheritedColumn {
  readonly name: string;
  readonly inherited: boolean;
  readonly notNull: boolean;
  /** From 18 on NOT NULL is a named constraint, which children inherit. */
  readonly notNullConstraint: { readonly name: string; readonly inherited: boolean } | null;
}

/** Prefix of schemas that exist only within the statement. */
const helperSchema = "seren_column_order_2c9f61_";

/** Whether the dump creates child tables. */
export function hasInheritance(statements: readonly DumpStatement[]): boolean {
  return statements.some(({ sql }) => (parseCreateTable(sql)?.parents.length ?? 0) > 0);
}

/**
 * Adds `inOrder` to the tables whose columns would otherwise change their order.
 *
 * @param columns of each child table, in order, by `tableKey`
 */
export function withColumnOrder(
  statements: readonly DumpStatement[],
  columns: ReadonlyMap<string, readonly InheritedColumn[]>,
): readonly DumpStatement[] {
  const tables = new Map<string, TableDefinition>();
  for (const { sql } of statements) {
    const table = parseCreateTable(sql);
    if (table !== undefined) tables.set(tableKey(table.table), table);
  }
  const family = new Family(tables, columns);
  return statements.map((statement) => {
    const table = parseCreateTable(statement.sql);
    const inOrder = table === undefined ? undefined : family.inOrder(table);
    return inOrder === undefined ? statement : { ...statement, inOrder };
  });
}

class Family {
  readonly #tables: ReadonlyMap<string, TableDefinition>;
  readonly #columns: ReadonlyMap<string, readonly InheritedColumn[]>;

  constructor(
    tables: ReadonlyMap<string, TableDefinition>,
    columns: ReadonlyMap<string, readonly InheritedColumn[]>,
  ) {
    this.#tables = tables;
    this.#columns = columns;
  }

  /**
   * Statements that create the table in the source's order; undefined where the plain statement
   * does, or where the order cannot be determined.
   */
  inOrder(definition: TableDefinition): string | undefined {
    const sourceColumns = this.#columns.get(tableKey(definition.table));
    const parents = definition.parents.map((parent) => this.#tables.get(tableKey(parent)));
    if (sourceColumns === undefined || definition.parents.length === 0) return undefined;
    if (!parents.every((parent) => parent !== undefined)) return undefined; // e.g. of an extension
    const plain = [
      ...new Set([
        ...parents.flatMap((parent) => this.#orderOf(parent)),
        ...namesOf(definition.items),
      ]),
    ];
    const names = sourceColumns.map(({ name }) => name);
    if (plain.length !== names.length || !plain.every((name) => names.includes(name))) {
      return undefined;
    }
    return plain.every((name, index) => name === names[index])
      ? undefined
      : this.#script(definition, { parents, sourceColumns });
  }

  #orderOf(definition: TableDefinition): readonly string[] {
    return this.#columns.get(tableKey(definition.table))?.map(({ name }) => name) ??
      namesOf(definition.items);
  }

  #script(
    { table, items, opening, tail }: TableDefinition,
    { parents, sourceColumns }: {
      readonly parents: readonly TableDefinition[];
      readonly sourceColumns: readonly InheritedColumn[];
    },
  ): string {
    const name = nameOf(table);
    // named like the parent, because the server derives constraint names from it
    const helpers = parents.map((parent, index) => ({
      parent,
      schema: quoteIdentifier(`${helperSchema}${index}`),
      helper: quoteQualified(`${helperSchema}${index}`, parent.table.name),
    }));
    const columns = sourceColumns.flatMap((column) => {
      const own = items.find((item) => item.column === column.name);
      return [
        ...(own === undefined ? [] : [addColumn(name, ownColumn(own, column))]),
        ...helpers.flatMap(({ parent, helper }) => {
          const definition = this.#definitionOf(parent, column.name);
          return definition === undefined ? [] : [
            addColumn(helper, inheritedColumn(definition, column)),
          ];
        }),
      ];
    });
    const constraints = items.filter(({ column }) => column === undefined);
    return [
      ...helpers.flatMap(({ schema, helper }) => [
        `CREATE SCHEMA ${schema}`,
        `CREATE TABLE ${helper} ()`,
      ]),
      `${opening} ()${tail}`,
      ...helpers.map(({ helper }) => `ALTER TABLE ${name} INHERIT ${helper}`),
      ...columns,
      ...constraints.map((item) => `ALTER TABLE ${name} ${addConstraint(item, sourceColumns)}`),
      ...helpers.flatMap(({ parent, helper }) =>
        this.#checksOf(parent).map(({ text }) => `ALTER TABLE ${helper} ADD ${text}`)
      ),
      ...parents.map((parent) => `ALTER TABLE ${name} INHERIT ${nameOf(parent.table)}`),
      ...helpers.flatMap(({ schema, helper }) => [
        `ALTER TABLE ${name} NO INHERIT ${helper}`,
        `DROP TABLE ${helper}`,
        `DROP SCHEMA ${schema}`,
      ]),
    ].map((statement) => `${statement};`).join("\n");
  }

  /** The column's definition in the table or its nearest ancestor. */
  #definitionOf(definition: TableDefinition, column: string): TableItem | undefined {
    return definition.items.find((item) => item.column === column) ??
      this.#parentsOf(definition)
        .map((parent) => this.#definitionOf(parent, column))
        .find((item) => item !== undefined);
  }

  /** CHECK constraints that child tables inherit: the table's own and its ancestors', each once. */
  #checksOf(definition: TableDefinition): readonly TableItem[] {
    const all = [
      ...definition.items.filter(({ inheritedCheck }) => inheritedCheck),
      ...this.#parentsOf(definition).flatMap((parent) => this.#checksOf(parent)),
    ];
    return [...new Map(all.map((item) => [item.text, item])).values()];
  }

  #parentsOf({ parents }: TableDefinition): readonly TableDefinition[] {
    return parents.flatMap((parent) => this.#tables.get(tableKey(parent)) ?? []);
  }
}

function namesOf(items: readonly TableItem[]): readonly string[] {
  return items.flatMap(({ column }) => column ?? []);
}

function nameOf({ schema, name }: TableName): string {
  return quoteQualified(schema, name);
}

function addColumn(table: string, definition: string): string {
  return `ALTER TABLE ${table} ADD COLUMN ${definition}`;
}

/** Before 18 NOT NULL cannot be added as a constraint. */
function addConstraint(
  { text, notNullOf }: TableItem,
  columns: readonly InheritedColumn[],
): string {
  const old = columns.find(({ name }) => name === notNullOf)?.notNullConstraint === null;
  return notNullOf !== undefined && old
    ? `ALTER COLUMN ${quoteIdentifier(notNullOf)} SET NOT NULL`
    : `ADD ${text}`;
}

function ownColumn({ text, notNull }: TableItem, column: InheritedColumn): string {
  const missing = column.notNull && column.notNullConstraint === null && !notNull;
  return missing ? `${text} NOT NULL` : text;
}

/** NOT NULL where the table inherits it, whatever that parent's definition says. */
function inheritedColumn({ withoutNotNull }: TableItem, column: InheritedColumn): string {
  const { notNull, notNullConstraint: constraint } = column;
  if (constraint === null) return notNull ? `${withoutNotNull} NOT NULL` : withoutNotNull;
  return constraint.inherited
    ? `${withoutNotNull} CONSTRAINT ${quoteIdentifier(constraint.name)} NOT NULL`
    : withoutNotNull;
}
