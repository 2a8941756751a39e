import { formatDuration, plural, redact } from "../../core/internal.ts";
import { dataTable } from "./data_table.ts";
import { lines, type Markup, name } from "./markup.ts";
import type { ReportView } from "./report_view.ts";
import { section } from "./section.ts";

/**
 * Transient failures that were retried, and how the load on the source was limited; undefined when
 * there was neither.
 */
export function eventsSection(report: ReportView): Markup | undefined {
  const { retries, governor } = report;
  if (retries.length === 0 && governor.length === 0) return undefined;
  return section({ id: "events", title: "Retries and throttling" }, [
    retriesTable(report),
    throttleTable(report),
  ]);
}

function retriesTable({ retries }: ReportView): Markup | undefined {
  if (retries.length === 0) return undefined;
  const pausedMs = retries.reduce((sum, { delayMs }) => sum + delayMs, 0);
  return dataTable({
    caption: `${
      plural(retries.length, "retry", "retries")
    } after transient failures, with pauses of ${
      formatDuration(pausedMs)
    } in total. Other sessions continued meanwhile.`,
    columns: [
      { title: "Work" },
      { title: "After", align: "right" },
      { title: "Attempt", align: "right" },
      { title: "Pause", align: "right" },
      { title: "Reason" },
    ],
    rows: retries.map(({ what, reason = "", attempt, delayMs, startMs }) => [
      redact(what),
      formatDuration(startMs),
      attempt,
      formatDuration(delayMs),
      lines(redact(reason)),
    ]),
  });
}

function throttleTable({ governor, databases }: ReportView): Markup | undefined {
  if (governor.length === 0) return undefined;
  const several = databases.length > 1;
  return dataTable({
    caption: "The copy’s load on the source, and how it was limited.",
    columns: [
      { title: "Event" },
      { title: "Subject" },
      ...(several ? [{ title: "Database" }] : []),
      { title: "After", align: "right" },
    ],
    rows: governor.map(({ about, message, database, startMs }) => [
      redact(message),
      about,
      ...(several ? [name(database)] : []),
      formatDuration(startMs),
    ]),
  });
}

/** Whether {@linkcode eventsSection} has anything to show. */
export function hasEvents({ retries, governor }: ReportView): boolean {
  return retries.length > 0 || governor.length > 0;
}
