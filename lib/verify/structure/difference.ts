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
  /** Its schema. */
  readonly schema?: string;
  /** The table, type or role it belongs to. */
  readonly parent?: string;
  /** Its name. */
  readonly name: string;
  /** How it differs on the target. */
  readonly change: "missing" | "extra" | "changed";
}

/** The comparison of one kind of object. */
export interface StructureSection extends VerifiedSection {
  /** What differs. */
  readonly differences: readonly StructureDifference[];
  /** Differences that are expected. */
  readonly notes: readonly StructureDifference[];
}

/** The result of comparing two structures. */
export interface StructureComparison {
  /** One for each kind of object. */
  readonly sections: readonly StructureSection[];
  /** What was not compared, and why. */
  readonly notChecked: readonly NotChecked[];
}
