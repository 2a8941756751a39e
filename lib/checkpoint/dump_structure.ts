/**
 * Whether the structure that a run began with is still the source's. Pure.
 *
 * @module
 */
import { describeStatement, type DumpStatement } from "../schema/internal.ts";
import { isRecorded, statementDigest } from "./digest.ts";

/** A statement of the dump, as the ledger keeps it. */
export interface StructureEntry {
  readonly digest: string;
  /** `TABLE public.orders` */
  readonly object: string;
}

/** The statements of a dump as the ledger keeps them. */
export function structureOf(statements: readonly DumpStatement[]): readonly StructureEntry[] {
  return statements.filter(isRecorded).map((statement) => ({
    digest: statementDigest(statement),
    object: describeStatement(statement),
  }));
}

/** How the structure of the source has changed since a run was begun. */
export interface StructureChanges {
  /**
   * Objects that are on the target already and that the source has in another form, or no longer.
   */
  readonly changed: readonly string[];
  /**
   * Functions and procedures among them that can be replaced on the target by what the source has
   * now.
   */
  readonly replaceable: ReadonlySet<string>;
}

/**
 * Compares the structure that a run began with to the present one. What is new, or has changed
 * before it was created on the target, is no difference: it is created as it is now.
 *
 * @param done digests of the statements that are committed
 */
export function compareDumpStructure(
  recorded: ReadonlyMap<string, string>,
  now: readonly StructureEntry[],
  done: ReadonlySet<string>,
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
