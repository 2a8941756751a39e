import { formatDuration, plural, redact } from "../../core/internal.ts";
import { dataTable } from "./data_table.ts";
import { lines, type Markup, name } from "./markup.ts";
import type { ReportView } from "./report_view.ts";
import { section } from "./section.ts";

/**
 * What came in between: failures that passed and were tried again, and how the source bore it;
 * nothing when nothing did.
 */
export function eventsSection(report: ReportView): Markup | undefined {
  const { retries, governor } = report;
  if (retries.length === 0 && governor.length === 0) return undefined;
  return section("events", "What came in between", [
    retriesTable(report),
    governorTable(report),
  ]);
}

function retriesTable({ retries }: ReportView): Markup | undefined {
  if (retries.length === 0) return undefined;
  const pausedMs = retries.reduce((sum, { delayMs }) => sum + delayMs, 0);
  return dataTable({
    caption: `${
      plural(retries.length, "retry", "retries")
    }: what failed, passed by itself and was tried again. Pauses: ${
      formatDuration(pausedMs)
    }, during which other sessions went on.`,
    columns: [
      { title: "What" },
      { title: "After", align: "right" },
      { title: "Attempt", align: "right" },
      { title: "Paused", align: "right" },
      { title: "Why" },
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

function governorTable({ governor, databases }: ReportView): Markup | undefined {
  if (governor.length === 0) return undefined;
  const several = databases.length > 1;
  return dataTable({
    caption: "How the source bore the copy, and what the copy did about it.",
    columns: [
      { title: "What" },
      { title: "About" },
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

/** Whether there is anything to tell. */
export function hasEvents({ retries, governor }: ReportView): boolean {
  return retries.length > 0 || governor.length > 0;
}
