import { formatDuration, redact } from "../../core/internal.ts";
import { dataTable } from "../html_report/data_table.ts";
import { lines, type Markup, markup, name } from "../html_report/markup.ts";
import { section } from "../html_report/section.ts";
import { tile } from "../html_report/summary_section.ts";
import type { RehearsalView } from "./cutover_view.ts";
import { serversAndTime } from "./summary_parts.ts";

/** The prediction and both servers. */
export function rehearsalSummary(report: RehearsalView): Markup {
  const { predictedPauseMs, maxPauseMs, isRefused } = report;
  return section(
    { id: "summary", title: "Summary" },
    markup`<dl class="tiles">
${
      tile({
        title: "Predicted pause",
        value: formatDuration(predictedPauseMs),
        note: isRefused ? "more than is allowed" : "how long writers would wait",
      })
    }
${tile({ title: "Allowed", value: formatDuration(maxPauseMs), note: "--max-pause" })}
</dl>
${serversAndTime(report)}`,
  );
}

/** What was measured, database by database. */
export function measurementsSection({ databases }: RehearsalView): Markup {
  return section(
    { id: "measurements", title: "Measurements" },
    dataTable({
      caption:
        "Databases are switched at the same time; the slowest decides. No writer was held, except where the last column has a time.",
      columns: [
        { title: "Database" },
        { title: "Changes arrive in", align: "right" },
        { title: "99% within", align: "right" },
        { title: "Sequences", align: "right" },
        { title: "Reverse", align: "right" },
        { title: "Writers held", align: "right" },
      ],
      rows: databases.map(({ source, drain, sequencesMs, reverseMs, brownoutMs }) => [
        name(source),
        formatDuration(drain.p50Ms),
        formatDuration(drain.p99Ms),
        formatDuration(sequencesMs),
        formatDuration(reverseMs),
        brownoutMs === null ? "no" : formatDuration(brownoutMs),
      ]),
    }),
  );
}

/** What held up the barrier, and what to know before the switch. */
export function findingsSection({ databases }: RehearsalView): Markup {
  const items = databases.flatMap(({ source, blockers, findings }) => [
    ...blockers.map((blocker) =>
      markup`<li class="bad">${name(source)}: ${lines(redact(blocker))}</li>\n`
    ),
    ...findings.map(({ side, message, remedy }) =>
      markup`<li>${name(source)}${side === undefined ? "" : `, ${side}`}: ${
        lines(redact(message))
      }${
        remedy === undefined
          ? undefined
          : markup`<div class="remedy"><b>What to do:</b> ${lines(redact(remedy))}</div>`
      }</li>\n`
    ),
  ]);
  return section(
    { id: "findings", title: "Findings" },
    items.length === 0 ? markup`<p>None.</p>` : markup`<ul class="warnings">${items}</ul>`,
  );
}
