/**
 * What `init` is about to do.
 *
 * @module
 */
import type { TableName } from "../../core/internal.ts";
import type { StatisticsSummary, ToastChoice } from "../../copy/internal.ts";
import type { ApplierKind } from "../../replication/internal.ts";
import type { ServerSummary, StepPrediction } from "./report.ts";
import type { TableDecision } from "./validation_report.ts";

/** What `init` is about to do; shown by `--dry-run` and before the confirmation. */
export interface InitPlan {
  /** The source. */
  readonly source: ServerSummary;
  /** The target. */
  readonly target: ServerSummary;
  /** The databases. */
  readonly databases: readonly DatabasePlan[];
  /** What exists on the target already; missing in plans of earlier versions. */
  readonly existing?: ExistingOnTarget;
  /** How many tables are copied at the same time. */
  readonly jobs: number;
  /** How many indexes are built at the same time. */
  readonly indexJobs: number;
  /** The program that dumps schema and globals: `pg_dump 16.4`, `embedded pg_dump 18`. */
  readonly dumpTool: string;
  /** Bytes of all tables in scope, TOAST included, indexes not. */
  readonly bytes: number;
  /** With replication: what will apply the changes. */
  readonly applier?: {
    /** `subscription` of the target, or `client`: this tool, whose `sync` must keep running. */
    readonly kind: ApplierKind;
    /** Why it is not a subscription; empty if it is one, or was requested. */
    readonly reasons: readonly string[];
  };
  /** From a short measurement; undefined if there is too little data to measure. */
  readonly predictedMs?: number;
  /** The same for each step. */
  readonly predictedSteps?: readonly StepPrediction[];
  /** What was done differently or needs attention. */
  readonly warnings: readonly string[];
}

/** What the target has before `init`. */
export interface ExistingOnTarget {
  /** Databases that `init` does not write to. */
  readonly databases: readonly string[];
  /** Roles of the source that exist on the target, which only gain; without the tool's own. */
  readonly roles: readonly string[];
}

/** One database of the plan. */
export interface DatabasePlan {
  /** Its name on the source. */
  readonly source: string;
  /** Its name on the target. */
  readonly target: string;
  /** What happens to the target database. */
  readonly action: "create" | "fill-empty" | "drop-and-create" | "resume";
  /** What `--drop-existing` will destroy, in words. */
  readonly willBeLost?: string;
  /** What the database contains on the target, in words; undefined if it does not exist. */
  readonly contents?: string;
  /** With replication: what is created and altered on the source. */
  readonly sourceChanges?: SourceChanges;
  /** Tables whose rows are copied. */
  readonly tables: readonly TablePlan[];
  /** The outcome for every table, and why. */
  readonly decisions: readonly TableDecision[];
  /** Other objects that are excluded or may stay incomplete: views, foreign keys. */
  readonly notes: readonly string[];
  /** Where its planner statistics will come from. */
  readonly statistics: StatisticsSummary;
  /** How copied values are compressed in columns without a setting of their own. */
  readonly toastCompression: ToastChoice;
  /** How many large objects. */
  readonly largeObjects: number;
  /** Size in bytes. */
  readonly bytes: number;
}

/** What `init --enable-sync` changes in one database of the source; `cleanup` undoes it. */
export interface SourceChanges {
  /** How the names of the publication and the replication slot begin. */
  readonly name: string;
  /** How many tables are published. */
  readonly published: number;
  /** Tables that are set to `REPLICA IDENTITY FULL`. */
  readonly identities: readonly TableName[];
  /** Tables that are copied once, and whose changes are not replicated. */
  readonly notReplicated: readonly TableName[];
}

/** One table of the plan. */
export interface TablePlan {
  /** Its schema. */
  readonly schema: string;
  /** Its name. */
  readonly name: string;
  /** Of a filtered table, the share that the planner expects to be copied. */
  readonly bytes: number;
  /** The share of `bytes` that is stored out of line (TOAST). */
  readonly toastBytes: number;
  /** The topmost partitioned table that it is a partition of. */
  readonly partitionOf?: TableName;
  /** The planner's estimate; undefined if there is none yet. */
  readonly rowEstimate?: number;
  /** Which rows are copied; undefined for all. */
  readonly predicate?: string;
  /** Ranges that are copied at the same time. */
  readonly parts: number;
  /** The format. */
  readonly format: "text" | "binary";
  /** Why it is copied as text: `column tags app.tag[]`. */
  readonly whyText?: string;
  /** Whether its rows are frozen when copied, so that VACUUM need not freeze them. */
  readonly freeze: boolean;
}
