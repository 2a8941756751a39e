import type { JobEvent } from "./journal_entry.ts";

/** How an event relates to earlier events. */
export interface EventSeries {
  /**
   * Identifies the table, step or subscription whose successive events belong together; `note` for
   * standalone messages.
   */
  readonly series?: string;
  /**
   * Whether the next event of the series supersedes this one; such events are thinned out as they
   * age.
   */
  readonly sample?: boolean;
}

/** Returns the series of an event, and whether it is only a progress sample. */
export function seriesOf(event: JobEvent): EventSeries {
  if (event.kind === "state") return {};
  const run = event.event;
  switch (run.kind) {
    case "table-progress":
      return { series: seriesKey("table", run.database, run.table), sample: true };
    case "table-started":
    case "table-finished":
      return { series: seriesKey("table", run.database, run.table) };
    case "step-progress":
      return { series: seriesKey("step", run.step, run.database), sample: true };
    case "step-started":
    case "step-finished":
      return { series: seriesKey("step", run.step, run.database) };
    case "replication-lag":
      return { series: seriesKey("lag", run.database, run.subscription), sample: true };
    case "apply-progress":
      return { series: seriesKey("apply", run.database, run.stream), sample: true };
    case "cutover-pause":
      return { series: pauseSeries, sample: !run.isOver };
    case "governor":
      return { series: seriesKey("governor", run.database, run.about), sample: true };
    case "warning":
    case "retry":
    case "info":
      return { series: noteSeries };
    default:
      return {};
  }
}

const pauseSeries = "pause";

/** The series of warnings, retries and informational messages. */
export const noteSeries = "note";

function seriesKey(...parts: readonly (string | undefined)[]): string {
  return JSON.stringify(parts.map((part) => part ?? null));
}
