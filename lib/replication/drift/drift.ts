import type { TableName } from "../../core/internal.ts";

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

/** One object that the two sides do not have alike. */
export interface Drift extends TableName {
  readonly kind: DriftKind;
  readonly column?: string;
  /** What is so, in a sentence. */
  readonly message: string;
  /** `problem`: changes are lost or cannot be applied. */
  readonly severity: "problem" | "warning";
  readonly remedy: string;
}
