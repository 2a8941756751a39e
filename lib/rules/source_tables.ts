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
  readonly kind: SourceTableKind;
  /** The partitioned table, or the tables it inherits from. */
  readonly parents: readonly TableName[];
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
  readonly columns: readonly SourceColumn[];
}

/** A column of a table. */
export interface SourceColumn {
  readonly name: string;
  /** As `format_type` prints it: `timestamp with time zone`. */
  readonly type: string;
}

/** A foreign key. */
export interface SourceForeignKey {
  readonly name: string;
  readonly table: TableName;
  readonly references: TableName;
}

/** An object other than a table that refers to relations. */
export interface SourceDependent extends TableName {
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
  readonly name: string;
  readonly tables: readonly SourceTable[];
  readonly foreignKeys: readonly SourceForeignKey[];
  readonly dependents: readonly SourceDependent[];
}
