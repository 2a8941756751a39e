/**
 * The structure of a database as facts that are comparable between versions.
 *
 * @module
 */
import type { SequenceValue } from "../../catalog/internal.ts";

/** The value of a fact; null is equivalent to absent. */
export type FactValue = string | number | boolean | readonly string[] | null;

/** A privilege and its grantee. */
export interface Grant {
  /** A role's name; null for PUBLIC, true for the object's owner. */
  readonly grantee: string | true | null;
  /** `SELECT`, `SELECT WITH GRANT OPTION`. */
  readonly privilege: string;
}

/** An object in a database. */
export interface StructureObject {
  /** `table`, `column`, `index`, … */
  readonly kind: string;
  /** The section of the report: `tables`, `indexes`, … */
  readonly section: string;
  readonly schema: string | undefined;
  /** The relation, type or role it belongs to. */
  readonly parent: string | undefined;
  readonly name: string;
  readonly owner: string | undefined;
  readonly grants: readonly Grant[];
  readonly comment: string | undefined;
  readonly facts: Readonly<Record<string, FactValue>>;
  /** Lists whose order is irrelevant. */
  readonly sets: Readonly<Record<string, readonly string[]>>;
  /** SQL as the server prints it. */
  readonly definitions: Readonly<Record<string, string>>;
}

/** The structure of a database, read from one server. */
export interface Structure {
  readonly majorVersion: number;
  /** By {@linkcode objectKey}, in the order of the report. */
  readonly objects: ReadonlyMap<string, StructureObject>;
  /** All roles of the server. */
  readonly roles: ReadonlySet<string>;
  /** The bootstrap superuser. */
  readonly bootstrapRole: string;
  /** The current role, and the roles it is a member of. */
  readonly user: string;
  readonly actsAs: ReadonlySet<string>;
}

/** The values of a database's sequences. */
export interface SequenceState {
  readonly values: readonly SequenceValue[];
  /** Sequences that the current role may not read, by `tableKey`. */
  readonly unreadable: ReadonlySet<string>;
}

/** Identifies an object; equal on both sides for objects to be compared. */
export function objectKey(
  { kind, schema, parent, name }: Pick<StructureObject, "kind" | "schema" | "parent" | "name">,
): string {
  return JSON.stringify([kind, schema ?? null, parent ?? null, name]);
}
