/**
 * Tables that inherit, made with their columns where the source has them. Pure.
 *
 * A column that a parent gained later stands last in its children; `CREATE TABLE … INHERITS`, as
 * pg_dump writes it, puts inherited columns first. Where the table's row type is stored in a
 * column, or returned by a function, values would change their meaning without an error.
 *
 * The columns come one by one: the table's own are added to it, the inherited ones to an empty
 * parent made for the purpose, which gives way to the true one in the end. So each column is as
 * local or inherited as on the source.
 *
 * @module
 */
import { quoteIdentifier, quoteQualified, tableKey, type TableName } from "../core/internal.ts";
import type { DumpStatement } from "./dump_reader.ts";
import { parseCreateTable, type TableDefinition, type TableItem } from "./table_definition.ts";

/** A column of a table that inherits, as the source has it. */
export interface InheritedColumn {
  readonly name: string;
  readonly inherited: boolean;
  readonly notNull: boolean;
  /** From 18 on NOT NULL is a constraint with a name, which parents hand down. */
  readonly notNullConstraint: { readonly name: string; readonly inherited: boolean } | null;
}

/** Schemas with this prefix and a number exist only within the statement. */
const helperSchema = "seren_column_order_2c9f61_";

/** Whether the dump makes any table that inherits. */
export function hasInheritance(statements: readonly DumpStatement[]): boolean {
  return statements.some(({ sql }) => (parseCreateTable(sql)?.parents.length ?? 0) > 0);
}

/**
 * Gives the tables whose columns would stand elsewhere the statements that keep their order.
 *
 * @param columns those of each table that inherits, in their order, by `tableKey`
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
   * The statements that make the table in the source's order; undefined where the plain one does,
   * or nothing can be said.
   */
  inOrder(definition: TableDefinition): string | undefined {
    const wanted = this.#columns.get(tableKey(definition.table));
    const parents = definition.parents.map((parent) => this.#tables.get(tableKey(parent)));
    if (wanted === undefined || definition.parents.length === 0) return undefined;
    if (!parents.every((parent) => parent !== undefined)) return undefined; // e.g. of an extension
    const plain = [
      ...new Set([
        ...parents.flatMap((parent) => this.#orderOf(parent)),
        ...namesOf(definition.items),
      ]),
    ];
    const names = wanted.map(({ name }) => name);
    if (plain.length !== names.length || !plain.every((name) => names.includes(name))) {
      return undefined;
    }
    return plain.every((name, index) => name === names[index])
      ? undefined
      : this.#script(definition, { parents, wanted });
  }

  #orderOf(definition: TableDefinition): readonly string[] {
    return this.#columns.get(tableKey(definition.table))?.map(({ name }) => name) ??
      namesOf(definition.items);
  }

  #script(
    { table, items, opening, tail }: TableDefinition,
    { parents, wanted }: {
      readonly parents: readonly TableDefinition[];
      readonly wanted: readonly InheritedColumn[];
    },
  ): string {
    const name = nameOf(table);
    // named like the parent, because the server makes names of constraints from it
    const helpers = parents.map((parent, index) => ({
      parent,
      schema: quoteIdentifier(`${helperSchema}${index}`),
      helper: quoteQualified(`${helperSchema}${index}`, parent.table.name),
    }));
    const columns = wanted.flatMap((column) => {
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
      ...constraints.map((item) => `ALTER TABLE ${name} ${addConstraint(item, wanted)}`),
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

  /** As the first of its ancestors defines the column that has it itself. */
  #definitionOf(definition: TableDefinition, column: string): TableItem | undefined {
    return definition.items.find((item) => item.column === column) ??
      this.#parentsOf(definition)
        .map((parent) => this.#definitionOf(parent, column))
        .find((item) => item !== undefined);
  }

  /** The checks that children of the table inherit, its own and its ancestors', each once. */
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

/** Before 18 NOT NULL is no constraint that could be added. */
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

/** NOT NULL where the table itself has it from a parent, whatever that parent's definition says. */
function inheritedColumn({ withoutNotNull }: TableItem, column: InheritedColumn): string {
  const { notNull, notNullConstraint: constraint } = column;
  if (constraint === null) return notNull ? `${withoutNotNull} NOT NULL` : withoutNotNull;
  return constraint.inherited
    ? `${withoutNotNull} CONSTRAINT ${quoteIdentifier(constraint.name)} NOT NULL`
    : withoutNotNull;
}
