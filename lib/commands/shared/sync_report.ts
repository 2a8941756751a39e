/**
 * What `sync` is about to copy, and what it returns.
 *
 * @module
 */
import type { TableName } from "../../core/internal.ts";
import type { StepReport, Warning } from "./report.ts";

/** What `sync` is about to copy. */
export interface SyncPlan {
  /** The databases. */
  readonly databases: readonly {
    readonly source: string;
    readonly target: string;
    readonly tables: readonly {
      readonly schema: string;
      readonly name: string;
      readonly bytes: number;
    }[];
    /** Tables of the source that are set to `REPLICA IDENTITY FULL`. */
    readonly identities: readonly TableName[];
    /**
     * Tables without a primary key that have, or are set to, `REPLICA IDENTITY FULL`: the target
     * finds their changed rows by all columns.
     */
    readonly byAllColumns: readonly TableName[];
  }[];
  /** Whether the tables are created on the target; otherwise they are emptied. */
  readonly areNew: boolean;
}

/** The outcome of `sync`: the target has caught up, and replication continues. */
export interface SyncReport {
  /** The databases. */
  readonly databases: readonly SyncDatabaseReport[];
  /** Each step with its duration. */
  readonly steps: readonly StepReport[];
  /** What was done differently or needs attention. */
  readonly warnings: readonly Warning[];
  /** Duration in milliseconds. */
  readonly ms: number;
}

/** One replicated database. */
export interface SyncDatabaseReport {
  /** Its name on the source. */
  readonly source: string;
  /** Its name on the target. */
  readonly target: string;
  /** One for each snapshot generation. */
  readonly streams: readonly SyncStreamReport[];
  /** What was done to start replication, in words; empty if it was running. */
  readonly done: readonly string[];
  /** Tables whose changes are not replicated. */
  readonly unfollowed: readonly string[];
}

/** A slot with the publication and the subscription of the same name. */
export interface SyncStreamReport {
  /** Its name. */
  readonly name: string;
  /** The snapshot generation: 1 for the first copy, higher for tables that were copied later. */
  readonly epoch: number;
  /** The tables. */
  readonly tables: number;
  /** What this process has applied; missing if another one, or a subscription, applies changes. */
  readonly applied?: {
    /** Transactions of the source. */
    readonly transactions: number;
    /** Changes of rows. */
    readonly changes: number;
  };
}
