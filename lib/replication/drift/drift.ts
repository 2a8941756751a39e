import type { Severity, TableName } from "../../core/internal.ts";

/** The kinds of {@linkcode Drift}. */
export const driftKinds = [
  "table-added",
  "table-missing",
  "table-dropped",
  "table-not-subscribed",
  "table-not-published",
  "column-added",
  "column-dropped",
  "column-type",
  "column-not-null",
  "partition",
  "enum-label",
  "domain-check",
  "type-attribute",
] as const;

/** One of {@linkcode driftKinds}. */
export type DriftKind = typeof driftKinds[number];

/** One object that differs between the sides. */
export interface Drift extends TableName {
  readonly kind: DriftKind;
  readonly column?: string;
  /** The difference in a sentence. */
  readonly message: string;
  /** `problem` if changes are lost or cannot be applied. */
  readonly severity: Severity;
  readonly remedy: string;
}
