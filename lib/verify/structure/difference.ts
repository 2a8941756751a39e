/**
 * What is not the same in the structure of two databases.
 *
 * @module
 */

/** One property of one object that is not the same on both sides. */
export interface StructureDifference {
  /**
   * `difference`: both sides are not equal. `note`: told, but expected: what the target cannot have, what a copy cannot carry over,
   * what the versions make of it; `reason` says which.
   */
  readonly severity: "difference" | "note";
  /** `indexes`, `triggers`, … */
  readonly section: string;
  /** `index orders_by_day of orders` */
  readonly object: string;
  readonly schema?: string;
  /** The table or type that it belongs to. */
  readonly parent?: string;
  readonly name: string;
  readonly change: "missing" | "extra" | "changed";
  /** What differs: `owner`, `definition`; none for what is missing or extra as a whole. */
  readonly property?: string;
  /** In a sentence, after the object's name: `is missing on the target`. */
  readonly message: string;
  readonly source?: string;
  readonly target?: string;
  /** Why it may be so. */
  readonly reason?: string;
  /** What to do about it. */
  readonly remedy?: string;
}

/** How much of one section was compared. */
export interface StructureSection {
  /** `indexes`, `triggers`, … */
  readonly section: string;
  /** Objects of the source, and those that only the target has. */
  readonly compared: number;
  readonly differences: readonly StructureDifference[];
  readonly notes: readonly StructureDifference[];
}

/** Something of the structure that was not compared. */
export interface StructureGap {
  readonly what: string;
  readonly reason: string;
  /** Whether it should have been compared and could not: then nobody may say that both sides are equal. */
  readonly failed: boolean;
}

/** The outcome of comparing two structures. */
export interface StructureComparison {
  readonly sections: readonly StructureSection[];
  readonly notChecked: readonly StructureGap[];
}
