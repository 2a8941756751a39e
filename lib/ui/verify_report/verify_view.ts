import type { TableName } from "../../core/internal.ts";
import type { ServerView, StepView, WarningView } from "../html_report/report_view.ts";

/** The verdict of a comparison. */
export type VerdictView = "equal" | "different" | "unchecked";

/**
 * The part of `VerifyReport` that the page shows. Sizes are in bytes, durations in milliseconds.
 */
export interface VerifyView {
  readonly source: ServerView;
  readonly target: ServerView;
  readonly verdict: VerdictView;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly databases: readonly VerifiedDatabaseView[];
  readonly notChecked: readonly NotCheckedView[];
  readonly warnings: readonly WarningView[];
  readonly steps: readonly StepView[];
  readonly repair?: {
    readonly applied: boolean;
    readonly rows: number;
    readonly statements: readonly string[];
  };
  readonly rows: number;
  readonly bytes: number;
  readonly ms: number;
}

/** What was not compared. */
export interface NotCheckedView {
  readonly database?: string;
  readonly what: string;
  readonly reason: string;
  readonly failed: boolean;
}

/** A database on both sides. */
export interface VerifiedDatabaseView {
  readonly source: string;
  readonly target: string;
  readonly live: boolean;
  readonly asOf?: string;
  readonly tables: readonly VerifiedTableView[];
  readonly sections: readonly VerifiedSectionView[];
}

/** The rows of a table. */
export interface VerifiedTableView extends TableName {
  readonly verdict: VerdictView;
  readonly reason?: string;
  readonly sourceRows?: number;
  readonly targetRows?: number;
  readonly digest?: string;
  readonly method?: string;
  readonly predicate?: string;
  readonly bytes: number;
  readonly ms: number;
  readonly asOf?: string;
  readonly differences: readonly RowDifferenceView[];
  readonly more: boolean;
}

/** A row that differs. Undefined values are withheld. */
export interface RowDifferenceView {
  readonly kind: "missing" | "extra" | "different";
  readonly key: readonly { readonly column: string; readonly value?: string | null }[];
  readonly columns: readonly {
    readonly column: string;
    readonly source?: string | null;
    readonly target?: string | null;
  }[];
  readonly sourceCount?: number;
  readonly targetCount?: number;
}

/** A kind of object. */
export interface VerifiedSectionView {
  readonly section: string;
  readonly verdict: VerdictView;
  readonly compared: number;
  readonly differences: readonly ObjectDifferenceView[];
  readonly notes: readonly ObjectDifferenceView[];
  readonly reason?: string;
}

/** An object that differs. */
export interface ObjectDifferenceView {
  readonly object: string;
  readonly message: string;
  readonly source?: string | null;
  readonly target?: string | null;
  readonly reason?: string;
  readonly remedy?: string;
}
