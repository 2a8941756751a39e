import { formatBytes, formatCount, plural, redact } from "../../core/internal.ts";
import { dataTable } from "./data_table.ts";
import { type Markup, markup, name } from "./markup.ts";
import type { DatabasePlanView, ReportView } from "./report_view.ts";
import { section } from "./section.ts";

/** What was planned, and with which settings. */
export function planSection({ plan }: ReportView): Markup {
  return section({ id: "plan", title: "Plan" }, [
    markup`<p>Up to ${plural(plan.jobs, "table")} copied and ${
      plural(plan.indexJobs, "index", "indexes")
    } built in parallel; schema dumped by ${plan.dumpTool}.</p>`,
    dataTable({
      caption: `${plural(plan.databases.length, "database")}, ${
        formatBytes(plan.bytes)
      } of tables on the source.`,
      columns: [
        { title: "Database" },
        { title: "Target database" },
        { title: "Tables", align: "right" },
        { title: "On disk", align: "right" },
        { title: "Large objects", align: "right" },
        { title: "Action on the target" },
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
      return "existed and was empty: filled";
    case "resume":
      return "contained an unfinished copy: resumed";
    case "drop-and-create":
      return "dropped and recreated" +
        (willBeLost === undefined ? "" : `; lost: ${redact(willBeLost)}`);
  }
}
