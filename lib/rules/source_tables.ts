/**
 * What rules are resolved against: the tables of the source as plain data.
 *
 * @module
 */
import type { TableName } from "../core/internal.ts";

/** What holds rows or looks as if it did. */
export type SourceTableKind = "table" | "partitioned" | "foreign";

/** A table of a database. */
export interface SourceTable extends TableName {
  readonly kind: SourceTableKind;
  /** Parents: the partitioned table, or the tables it inherits from. */
  readonly parents: readonly TableName[];
  readonly isPartition: boolean;
  /**
   * Tables that its definition cannot be without: one of whose row type a column is, one that a
   * function in a default reads.
   */
  readonly needs: readonly TableName[];
  /** The extension that made it. */
  readonly extension: string | undefined;
  /** For an extension's table: whether its rows are the user's (`pg_extension_config_dump`). */
  readonly isExtensionConfiguration: boolean;
  readonly columns: readonly SourceColumn[];
}

/** A column of a table. */
export interface SourceColumn {
  readonly name: string;
  /** As in a table definition: `timestamp with time zone`. */
  readonly type: string;
}

/** A foreign key. */
export interface SourceForeignKey {
  readonly name: string;
  readonly table: TableName;
  readonly references: TableName;
}

/** Something other than a table that names relations. */
export interface SourceDependent extends TableName {
  readonly kind: "view" | "materialized view" | "sequence" | "function" | "policy" | "rule";
  /** For a function its argument types, for a policy or rule its table: to tell it from others. */
  readonly detail?: string;
  /** Relations that it cannot be without. For a sequence: the table that owns it. */
  readonly uses: readonly TableName[];
  /** For a sequence: tables with a default that calls it. */
  readonly usedBy: readonly TableName[];
}

/** A database of the source. */
export interface SourceDatabase {
  readonly name: string;
  readonly tables: readonly SourceTable[];
  readonly foreignKeys: readonly SourceForeignKey[];
  readonly dependents: readonly SourceDependent[];
}
