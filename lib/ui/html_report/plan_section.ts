import { formatBytes, formatCount, plural, redact } from "../../core/internal.ts";
import { dataTable } from "./data_table.ts";
import { type Markup, markup, name } from "./markup.ts";
import type { DatabasePlanView, ReportView } from "./report_view.ts";
import { section } from "./section.ts";

/** What was going to be done, and with what. */
export function planSection({ plan }: ReportView): Markup {
  return section("plan", "Plan", [
    markup`<p>Up to ${plural(plan.jobs, "table")} copied and ${
      plural(plan.indexJobs, "index", "indexes")
    } built at once; schema by ${plan.dumpTool}.</p>`,
    dataTable({
      caption: `${plural(plan.databases.length, "database")}, ${
        formatBytes(plan.bytes)
      } of tables on the source’s disk.`,
      columns: [
        { title: "Database" },
        { title: "On the target" },
        { title: "Tables", align: "right" },
        { title: "On disk", align: "right" },
        { title: "Large objects", align: "right" },
        { title: "What happened to the target" },
      ],
      rows: plan.databases.map((database) => [
        name(database.source),
        name(database.target),
        formatCount(database.tables.length),
        formatBytes(database.bytes),
        formatCount(database.largeObjects),
        actionWords(database),
      ]),
    }),
  ]);
}

function actionWords({ action, willBeLost }: DatabasePlanView): string {
  switch (action) {
    case "create":
      return "created";
    case "fill-empty":
      return "was there and empty: filled";
    case "resume":
      return "was there as an unfinished copy: went on where it had ended";
    case "drop-and-create":
      return "dropped and created again" +
        (willBeLost === undefined ? "" : `; what was lost: ${redact(willBeLost)}`);
  }
}
