/**
 * Materialized views whose rows differ because the sides were refreshed at different times. Pure.
 *
 * @module
 */
import { displayName, plural } from "../core/internal.ts";
import type { NotChecked, VerifiedTable } from "./report/report.ts";

/** The tables, and notes about the views among them that differ. */
export interface NotedViews {
  readonly tables: readonly VerifiedTable[];
  readonly notChecked: readonly NotChecked[];
}

/**
 * Replaces each materialized view whose rows differ by a note: it shows the tables as they were at
 * its last REFRESH, and each side has its own. A view that is filled on one side only remains a
 * difference.
 */
export function noteStaleViews(tables: readonly VerifiedTable[]): NotedViews {
  const isStale = ({ kind, verdict, reason }: VerifiedTable) =>
    kind === "materialized view" && verdict === "different" && reason === undefined;
  return {
    tables: tables.filter((table) => !isStale(table)),
    notChecked: tables.filter(isStale).map((view) => ({
      what: `rows of ${displayName(view)}`,
      reason:
        `${
          view.more
            ? `${view.differences.length} or more rows`
            : plural(view.differences.length, "row")
        } of this materialized view ${
          view.differences.length === 1 && !view.more ? "differs" : "differ"
        }, which is no difference of the data: each side shows its tables as of its own last REFRESH; ` +
        "run REFRESH MATERIALIZED VIEW on both sides, while nothing is written, to compare them",
      failed: false,
    })),
  };
}
