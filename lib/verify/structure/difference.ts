/**
 * Differences between the structures of two databases.
 *
 * @module
 */
import type { NotChecked, ObjectDifference, VerifiedSection } from "../report/report.ts";

/** A differing object, or one differing property of an object. */
export interface StructureDifference extends ObjectDifference {
  /**
   * `difference`: the sides are not equal. `note`: the difference is expected, because the target,
   * a copy or the versions do not allow otherwise; `reason` explains it.
   */
  readonly severity: "difference" | "note";
  /** `indexes`, `triggers`, … */
  readonly section: string;
  readonly schema?: string;
  /** The table, type or role it belongs to. */
  readonly parent?: string;
  readonly name: string;
  readonly change: "missing" | "extra" | "changed";
}

/** The comparison of one kind of object. */
export interface StructureSection extends VerifiedSection {
  readonly differences: readonly StructureDifference[];
  readonly notes: readonly StructureDifference[];
}

/** The result of comparing two structures. */
export interface StructureComparison {
  readonly sections: readonly StructureSection[];
  readonly notChecked: readonly NotChecked[];
}
