/**
 * What a database is made of besides its rows, as facts that mean the same on every version.
 *
 * @module
 */
import type { SequenceValue } from "../../catalog/internal.ts";

/** A value of a fact: null is the same as not there. */
export type FactValue = string | number | boolean | readonly string[] | null;

/** A privilege and who has it. */
export interface Grant {
  /** A role's name; null is PUBLIC, true whoever owns the object. */
  readonly grantee: string | true | null;
  /** `SELECT`, `SELECT WITH GRANT OPTION`. */
  readonly privilege: string;
}

/** One object of a database. */
export interface StructureObject {
  /** `table`, `column`, `index`, … */
  readonly kind: string;
  /** The part of the report that tells of it: `tables`, `indexes`, … */
  readonly section: string;
  readonly schema: string | undefined;
  /** The relation, type or role that it belongs to. */
  readonly parent: string | undefined;
  readonly name: string;
  readonly owner: string | undefined;
  readonly grants: readonly Grant[];
  readonly comment: string | undefined;
  readonly facts: Readonly<Record<string, FactValue>>;
  /** Lists whose order means nothing. */
  readonly sets: Readonly<Record<string, readonly string[]>>;
  /** SQL as the server prints it. */
  readonly definitions: Readonly<Record<string, string>>;
}

/** A database as one server tells it. */
export interface Structure {
  readonly majorVersion: number;
  /** By {@linkcode objectKey}, in the order in which they are told. */
  readonly objects: ReadonlyMap<string, StructureObject>;
  /** All roles of the server. */
  readonly roles: ReadonlySet<string>;
  /** The role that the server was made with, who may do everything. */
  readonly bootstrapRole: string;
  /** The role that looked, and those that it may act as. */
  readonly user: string;
  readonly actsAs: ReadonlySet<string>;
}

/** Where a database's sequences stand. */
export interface SequenceState {
  readonly values: readonly SequenceValue[];
  /** Those that our role may not read, by `tableKey`. */
  readonly unreadable: ReadonlySet<string>;
}

/** Tells objects apart; equal on both sides for what is to be compared. */
export function objectKey(
  { kind, schema, parent, name }: Pick<StructureObject, "kind" | "schema" | "parent" | "name">,
): string {
  return JSON.stringify([kind, schema ?? null, parent ?? null, name]);
}
