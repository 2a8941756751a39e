/**
 * How the changes of one relation of the source are applied to its table on the target. Pure.
 *
 * @module
 */
import { displayName, ExitCode, ReplicatorError, tableKey } from "../core/internal.ts";
import type { Relation } from "../postgres/internal.ts";
import type { MappedTable, TargetColumn } from "./applied_tables.ts";

/** A relation of the source and its table on the target. */
export interface TableMapping {
  readonly relation: Relation;
  readonly table: MappedTable;
  /** For errors and maps. */
  readonly key: string;
  /** Of the target, in the order of the relation's columns. */
  readonly columns: readonly TargetColumn[];
  /**
   * Positions of the columns by which a row is found; undefined if only the whole row identifies
   * it.
   */
  readonly keyColumns: readonly number[] | undefined;
  /** Whether a unique index of the target finds a row by these columns. */
  readonly hasKeyIndex: boolean;
  /** Positions of the columns that an UPDATE sets if it does not change the key. */
  readonly settable: readonly number[];
  /** Positions of columns outside the key that no UPDATE can set: they must be equal already. */
  readonly fixed: readonly number[];
  /** Which rows are applied; undefined if the source filters them, or sends all. */
  readonly rowFilter: string | undefined;
}

/**
 * @throws ReplicatorError if the target's table lacks a column
 */
export function mapTable(
  relation: Relation,
  table: MappedTable,
  rowFilter?: string | undefined,
): TableMapping {
  const missing = relation.columns.filter(({ name }) => !table.columns.has(name));
  if (missing.length > 0) {
    throw new ReplicatorError(
      `the source sends ${
        missing.map(({ name }) => name).join(", ")
      }, but the target's table has no such column that can be written`,
      {
        side: "target",
        object: `table ${displayName(table)}`,
        exitCode: ExitCode.unhealthy,
        remedy: "add it on the target (not as a generated column), then run sync --retry",
      },
    );
  }
  const columns = relation.columns.flatMap(({ name }) => table.columns.get(name) ?? []);
  const keyColumns = identifyingColumns(relation, table);
  const others = columns.map((_, position) => position).filter((position) =>
    !keyColumns?.includes(position)
  );
  const keyNames = new Set(keyColumns?.map((position) => columns[position]?.name));
  const isFixed = (position: number) => columns[position]?.isIdentityAlways ?? false;
  return {
    relation,
    table,
    key: tableKey(table),
    columns,
    keyColumns,
    hasKeyIndex: table.uniqueIndexes.some((names) => names.every((name) => keyNames.has(name))),
    settable: others.filter((position) => !isFixed(position)),
    fixed: others.filter(isFixed),
    rowFilter,
  };
}

/**
 * The replica identity; with REPLICA IDENTITY FULL, the target's primary key, whose old values are
 * sent with the whole row.
 */
function identifyingColumns(
  relation: Relation,
  table: MappedTable,
): readonly number[] | undefined {
  const positions = relation.columns.map((_, position) => position);
  if (!relation.isIdentityFull) {
    const key = positions.filter((position) => relation.columns[position]?.isKey);
    return key.length === 0 ? undefined : key;
  }
  const key = table.primaryKey?.map((name) =>
    relation.columns.findIndex((column) => column.name === name)
  );
  return key === undefined || key.includes(-1) ? undefined : key;
}
