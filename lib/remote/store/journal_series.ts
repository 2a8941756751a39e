import type { JobEvent } from "./journal_entry.ts";

/** What an event means to those before it. */
export interface EventPlace {
  /**
   * Events of one series follow each other: of a table, of a step, of a subscription; `note` for
   * what stands by itself.
   */
  readonly series?: string;
  /**
   * Whether the next one of its series says all that this one does: such events are thinned as they
   * grow old.
   */
  readonly sample?: boolean;
}

/** Tells which events follow each other, and which of them only say how far something is. */
export function placeOf(event: JobEvent): EventPlace {
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

/** Of warnings, retries and other news, which have no end. */
export const noteSeries = "note";

function seriesKey(...parts: readonly (string | undefined)[]): string {
  return JSON.stringify(parts.map((part) => part ?? null));
}
