/**
 * Whether the structure that a run began with is still the source's. Pure.
 *
 * @module
 */
import { describeStatement, type DumpStatement } from "../schema/mod.ts";
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

/**
 * Objects that the ledger knows and the dump does not have any more, or has in other words. What is new in the dump is no difference: it is simply
 * not done yet.
 */
export function changedStructure(
  recorded: ReadonlyMap<string, string>,
  now: readonly StructureEntry[],
): readonly string[] {
  const there = new Set(now.map(({ digest }) => digest));
  const gone = [...recorded].filter(([digest]) => !there.has(digest)).map(([, object]) => object);
  return [...new Set(gone)];
}
