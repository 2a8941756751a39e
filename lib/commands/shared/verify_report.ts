/**
 * What `verify` returns.
 *
 * @module
 */
import type { NotChecked, Verdict, VerifiedDatabase } from "../../verify/internal.ts";
import type { ServerSummary, StepReport, Warning } from "./report.ts";

/** The outcome of `verify`. */
export interface VerifyReport {
  /** The source. */
  readonly source: ServerSummary;
  /** The target. */
  readonly target: ServerSummary;
  /** The result of the comparison. */
  readonly verdict: Verdict;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  /** When it finished, ISO 8601. */
  readonly finishedAt: string;
  /** The databases. */
  readonly databases: readonly VerifiedDatabase[];
  /** Everything that was not compared, and why. */
  readonly notChecked: readonly NotChecked[];
  /** What was done differently or needs attention. */
  readonly warnings: readonly Warning[];
  /** Each step with its duration. */
  readonly steps: readonly StepReport[];
  /** Repairs, if requested. */
  readonly repair?: RepairReport;
  /** Rows compared, on the source. */
  readonly rows: number;
  /** Bytes of the source's tables that were compared. */
  readonly bytes: number;
  /** Duration in milliseconds. */
  readonly ms: number;
}

/** What `verify --repair` did, or with `--dry-run` would do. */
export interface RepairReport {
  /** Whether the target was changed. */
  readonly applied: boolean;
  /** Rows written or removed on the target. */
  readonly rows: number;
  /** For `--dry-run`: the statements, in order. */
  readonly statements: readonly string[];
}
