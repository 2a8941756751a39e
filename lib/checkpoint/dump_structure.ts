/**
 * Detects changes of the source's structure since a run began. Pure.
 *
 * @module
 */
import { describeStatement } from "../schema/apply/schema_error.ts";
import type { DumpStatement } from "../schema/internal.ts";
import { isRecorded, statementDigest } from "./digest.ts";

/** A statement of the dump, as recorded in the ledger. */
export interface StructureEntry {
  readonly digest: string;
  /** `TABLE public.orders` */
  readonly object: string;
}

/** The statements of a dump, as recorded in the ledger. */
export function structureOf(statements: readonly DumpStatement[]): readonly StructureEntry[] {
  return statements.filter(isRecorded).map((statement) => ({
    digest: statementDigest(statement),
    object: describeStatement(statement),
  }));
}

/** Changes of the source's structure since a run began. */
export interface StructureChanges {
  /**
   * Objects that exist on the target, and are different or missing on the source.
   */
  readonly changed: readonly string[];
  /**
   * Changed functions and procedures that can be replaced on the target.
   */
  readonly replaceable: ReadonlySet<string>;
}

/**
 * Compares the structure that a run began with to the current one. Objects that are new, or changed
 * before they were created on the target, do not count: they are created in their current form.
 */
export function compareDumpStructure(
  { recorded, now, done }: {
    /** Objects by the digests of their statements. */
    readonly recorded: ReadonlyMap<string, string>;
    readonly now: readonly StructureEntry[];
    /** Digests of committed statements. */
    readonly done: ReadonlySet<string>;
  },
): StructureChanges {
  const digests = new Set(now.map(({ digest }) => digest));
  const objects = new Set(now.map(({ object }) => object));
  const differing = [...recorded].filter(([digest]) => !digests.has(digest) && done.has(digest))
    .map(([, object]) => object);
  const isReplaceable = (object: string) =>
    /^(?:FUNCTION|PROCEDURE) /.test(object) && objects.has(object);
  return {
    changed: [...new Set(differing.filter((object) => !isReplaceable(object)))],
    replaceable: new Set(differing.filter(isReplaceable)),
  };
}

/** The same statements, with CREATE OR REPLACE for the given functions and procedures. */
export function replaceRoutines(
  statements: readonly DumpStatement[],
  routines: ReadonlySet<string>,
): readonly DumpStatement[] {
  if (routines.size === 0) return statements;
  return statements.map((statement) =>
    statement.type !== undefined && routines.has(describeStatement(statement))
      ? {
        ...statement,
        sql: statement.sql.replace(/^CREATE (?=FUNCTION|PROCEDURE)/, "CREATE OR REPLACE "),
      }
      : statement
  );
}
