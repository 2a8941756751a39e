/**
 * What `validate` returns, and what rules do to tables.
 *
 * @module
 */
import type { Side } from "../../core/internal.ts";
import type { ServerSummary } from "./report.ts";

/** How a check of `validate` ended. */
export type CheckStatus = "pass" | "warn" | "fail";

/** One check of `validate`. */
export interface Check {
  /** Stable name for scripts: `target-empty`. */
  readonly id: string;
  /** How it ended. */
  readonly status: CheckStatus;
  /** The server that was checked. */
  readonly side: Side | "both";
  /** The database. */
  readonly database?: string;
  /** What was found, in a sentence. */
  readonly finding: string;
  /** The remedy; set for every warning and failure. */
  readonly fix?: string;
}

/** The outcome of `validate`. */
export interface ValidationReport {
  /** The source. */
  readonly source: ServerSummary;
  /** The target. */
  readonly target: ServerSummary;
  /** Every check. */
  readonly checks: readonly Check[];
  /** The effect of the rules on each database. */
  readonly scopes: readonly DatabaseDecisions[];
  /** How many checks passed. */
  readonly passed: number;
  /** How many checks warn. */
  readonly warnings: number;
  /** How many checks failed. */
  readonly failures: number;
}

/** What happens to a table, and why. */
export interface TableDecision {
  /** Its schema. */
  readonly schema: string;
  /** Its name. */
  readonly name: string;
  /** What happens to it. */
  readonly outcome: "copied" | "filtered" | "structure-only" | "left-out";
  /** Why. */
  readonly reason: string;
  /** Which rows of a filtered table are copied. */
  readonly predicate?: string;
}

/** What happens to the tables of a database. */
export interface DatabaseDecisions {
  /** Its name on the source. */
  readonly database: string;
  /** All tables, partitioned and foreign ones included. */
  readonly tables: readonly TableDecision[];
  /** Other objects that are excluded or may stay incomplete: views, foreign keys. */
  readonly notes: readonly string[];
}
