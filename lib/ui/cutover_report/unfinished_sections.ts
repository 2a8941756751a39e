import { formatCount, formatDuration, redact } from "../../core/internal.ts";
import { dataTable } from "../html_report/data_table.ts";
import { lines, type Markup, markup, name } from "../html_report/markup.ts";
import { section } from "../html_report/section.ts";
import { tile } from "../html_report/summary_section.ts";
import type { UnfinishedSwitchView } from "./cutover_view.ts";
import { serversAndTime, waitingTiles } from "./summary_parts.ts";

/** `✗ Abandoned: nothing was changed, and the source is in use` */
export function unfinishedStatus({ direction, outcome }: UnfinishedSwitchView): Markup {
  const side = direction === "run" ? "source" : "target";
  return outcome === "abandoned"
    ? markup`<p class="status failed">✗ Abandoned: nothing was changed, and the ${side} is in use</p>`
    : markup`<p class="status failed">✗ Not finished: run the same command again, it continues</p>`;
}

/** How long writers waited, and both servers. */
export function unfinishedSummary(report: UnfinishedSwitchView): Markup {
  const { pauseMs, maxPauseMs } = report;
  return section(
    { id: "summary", title: "Summary" },
    markup`<dl class="tiles">
${
      tile({
        title: "Pause",
        value: formatDuration(pauseMs),
        note: pauseMs === 0
          ? "the barrier was not granted"
          : `${formatDuration(maxPauseMs)} were allowed`,
      })
    }
${waitingTiles(report, { withoutAttempts: "none" })}
</dl>
${serversAndTime(report)}`,
  );
}

/** Why it failed, as the command printed it. */
export function reasonSection({ reason }: UnfinishedSwitchView): Markup {
  return section(
    { id: "reason", title: "Reason" },
    markup`<p>${lines(redact(reason.join("\n")))}</p>`,
  );
}

/** How long the users of each database waited while the barrier was held. */
export function usersSection({ databases }: UnfinishedSwitchView): Markup {
  return section(
    { id: "users", title: "Users" },
    databases.length === 0 ? markup`<p>No database was still to be closed.</p>` : dataTable({
      caption:
        "Sessions that waited while the barrier was held. None of them got an error from it.",
      columns: [
        { title: "Database" },
        { title: "Sessions waited", align: "right" },
        { title: "Longest", align: "right" },
      ],
      rows: databases.map(({ database, waiting }) => [
        name(database),
        formatCount(waiting.sessions),
        formatDuration(waiting.longestMs),
      ]),
    }),
  );
}
