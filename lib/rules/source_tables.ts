/**
 * The source's tables, which rules are resolved against, as plain data.
 *
 * @module
 */
import type { TableName } from "../core/internal.ts";

/** Kinds of tables that rules apply to. */
export type SourceTableKind = "table" | "partitioned" | "foreign";

/** A table of a database. */
export interface SourceTable extends TableName {
  /** `table`, `partitioned` or `foreign`. */
  readonly kind: SourceTableKind;
  /** The partitioned table, or the tables it inherits from. */
  readonly parents: readonly TableName[];
  /** Whether it is a partition of a partitioned table. */
  readonly isPartition: boolean;
  /**
   * Tables that its definition needs: those whose row type a column has, and those that a function
   * in a default reads.
   */
  readonly needs: readonly TableName[];
  /** The extension that it belongs to. */
  readonly extension: string | undefined;
  /** For an extension's table: whether it holds user data (`pg_extension_config_dump`). */
  readonly isExtensionConfiguration: boolean;
  /** Its columns, in the table's order. */
  readonly columns: readonly SourceColumn[];
}

/** A column of a table. */
export interface SourceColumn {
  /** Column name, unquoted. */
  readonly name: string;
  /** As `format_type` prints it: `timestamp with time zone`. */
  readonly type: string;
}

/** A foreign key. */
export interface SourceForeignKey {
  /** Constraint name, unquoted. */
  readonly name: string;
  /** The referencing table, which has the constraint. */
  readonly table: TableName;
  /** The table that the key refers to. */
  readonly references: TableName;
}

/** An object other than a table that refers to relations. */
export interface SourceDependent extends TableName {
  /** Kind of object: a policy or rule belongs to the named table. */
  readonly kind: "view" | "materialized view" | "sequence" | "function" | "policy" | "rule";
  /** A function's argument types; the name of a policy or rule. */
  readonly detail?: string;
  /** Relations that it needs; for a sequence the table that owns it. */
  readonly uses: readonly TableName[];
  /** For a sequence: tables with a default that calls it. */
  readonly usedBy: readonly TableName[];
}

/** A database of the source. */
export interface SourceDatabase {
  /** Database name, unquoted. */
  readonly name: string;
  /** All tables that rules can apply to. */
  readonly tables: readonly SourceTable[];
  /** Foreign keys between its tables. */
  readonly foreignKeys: readonly SourceForeignKey[];
  /** Other objects that refer to its tables. */
  readonly dependents: readonly SourceDependent[];
}
