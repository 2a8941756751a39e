import type { Severity, Side, TableName } from "../../core/internal.ts";

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

/** What the two sides of a stream are called in messages. */
export interface StreamSides {
  /** The side that it leaves. */
  readonly from: Side;
  /** The side where it arrives. */
  readonly to: Side;
}

/** The sides of a stream of the migration. */
export const forwardSides: StreamSides = { from: "source", to: "target" };

/** The sides of the way back. */
export const backwardSides: StreamSides = { from: "target", to: "source" };
