/**
 * What is not the same in the structure of two databases.
 *
 * @module
 */
import type { NotChecked, ObjectDifference, VerifiedSection } from "../report/report.ts";

/** One property of one object that is not the same on both sides. */
export interface StructureDifference extends ObjectDifference {
  /**
   * `difference`: both sides are not equal. `note`: told, but expected: what the target cannot
   * have, what a copy cannot carry over, what the versions make of it; `reason` says which.
   */
  readonly severity: "difference" | "note";
  /** `indexes`, `triggers`, … */
  readonly section: string;
  readonly schema?: string;
  /** The table, type or role that it belongs to. */
  readonly parent?: string;
  readonly name: string;
  readonly change: "missing" | "extra" | "changed";
}

/** One kind of objects: how many there are on either side, and what differs. */
export interface StructureSection extends VerifiedSection {
  readonly differences: readonly StructureDifference[];
  readonly notes: readonly StructureDifference[];
}

/** The outcome of comparing two structures. */
export interface StructureComparison {
  readonly sections: readonly StructureSection[];
  readonly notChecked: readonly NotChecked[];
}
