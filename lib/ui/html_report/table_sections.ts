import {
  displayName,
  formatBytes,
  formatCount,
  formatDuration,
  plural,
  stepTitle,
} from "../../core/internal.ts";
import { cellBar, dataTable } from "./data_table.ts";
import { inTurn } from "./in_turn.ts";
import { type Markup, markup, name } from "./markup.ts";
import type {
  DatabasePlanView,
  DatabaseView,
  ReportView,
  TablePlanView,
  TableView,
} from "./report_view.ts";
import { section } from "./section.ts";
import { formatRate, workWords } from "./words.ts";

/** How long each step took and was predicted to take. */
export function stepsSection({ steps, databases }: ReportView): Markup {
  const several = databases.length > 1;
  const predicted = steps.some(({ predictedMs }) => predictedMs !== undefined);
  const longest = largestOf([
    ...steps,
    ...steps.map(({ predictedMs = 0 }) => ({ ms: predictedMs })),
  ]);
  return section(
    { id: "steps", title: "Steps" },
    dataTable({
      caption:
        "In order. Index builds start as soon as the first table is copied; their step shows only the time after the last row." +
        (predicted ? " The tick in a bar marks the prediction." : ""),
      columns: [
        { title: "Step" },
        ...(several ? [{ title: "Database" }] : []),
        { title: "Start", align: "right" },
        ...(predicted ? [{ title: "Predicted", align: "right" as const }] : []),
        { title: "Time", align: "right" },
        { title: "Share" },
        { title: "Result" },
      ],
      rows: steps.map((
        { step, database, startMs, ms, predictedMs, summary, failed, interrupted },
      ) => [
        stepTitle(step),
        ...(several ? [database === undefined ? "" : name(database)] : []),
        formatDuration(startMs),
        ...(predicted ? [predictedMs === undefined ? "" : formatDuration(predictedMs)] : []),
        formatDuration(ms),
        cellBar(ms / longest, predictedMs === undefined ? undefined : predictedMs / longest),
        failed
          ? markup`<span class="verdict different">${
            interrupted ? "■ interrupted" : "✗ failed"
          }</span>`
          : summary ?? "",
      ]),
    }),
  );
}

interface TableOfDatabase extends TableView {
  readonly database: string;
  readonly planned: TablePlanView | undefined;
}

/** Every table, largest first. */
export function tablesSection({ plan, databases }: ReportView): Markup {
  const several = databases.length > 1;
  const tables = databases.flatMap((database) => tablesOf(database, plan.databases))
    .sort((a, b) => b.bytes - a.bytes);
  const longest = largestOf(tables);
  return section(
    { id: "tables", title: "Tables" },
    tables.length === 0 ? markup`<p>No tables were copied.</p>` : dataTable({
      caption: `${plural(tables.length, "table")}, largest first. ` +
        "Time is from the COPY command to the last row, including time spent queued in a session.",
      columns: [
        { title: "Table" },
        ...(several ? [{ title: "Database" }] : []),
        { title: "Rows", align: "right" },
        { title: "On disk", align: "right" },
        { title: "Copied", align: "right" },
        { title: "Format" },
        { title: "Rate", align: "right" },
        { title: "Time", align: "right" },
        { title: "Share" },
      ],
      rows: tables.map((table) => [
        name(displayName(table)),
        ...(several ? [name(table.database)] : []),
        table.uncounted ? markup`<small>not counted</small>` : formatCount(table.rows),
        table.planned === undefined ? "" : formatBytes(table.planned.bytes),
        formatBytes(table.bytes),
        table.planned === undefined ? "" : formatWords(table.planned),
        ...(table.earlier ? ["", markup`<small>earlier run</small>`, ""] : [
          formatRate(table.bytes - (table.before?.bytes ?? 0), table.ms),
          formatDuration(table.ms),
          cellBar(table.ms / longest),
        ]),
      ]),
    }),
  );
}

function tablesOf(
  { source, tables }: DatabaseView,
  plans: readonly DatabasePlanView[],
): readonly TableOfDatabase[] {
  const key = ({ schema, name }: { readonly schema: string; readonly name: string }) =>
    JSON.stringify([schema, name]);
  const planned = plans.find((plan) => plan.source === source)?.tables ?? [];
  const plan = new Map(planned.map((table) => [key(table), table]));
  return tables.map((table) => ({ ...table, database: source, planned: plan.get(key(table)) }));
}

function formatWords({ parts, format, whyText }: TablePlanView): string {
  return (parts > 1 ? `${plural(parts, "part")}, ${format}` : format) +
    (whyText === undefined ? "" : ` (${whyText})`);
}

const maxSlowest = 15;

/** The pieces of work that took the longest. */
export function slowestSection({ timeline, databases }: ReportView): Markup | undefined {
  if (timeline.length === 0) return undefined;
  const several = databases.length > 1;
  const slowest = inTurn(timeline).toSorted((a, b) => b.ms - a.ms).slice(0, maxSlowest);
  const longest = largestOf(slowest);
  return section(
    { id: "slowest", title: "Slowest work" },
    dataTable({
      caption: slowest.length < timeline.length
        ? `The ${slowest.length} slowest of ${formatCount(timeline.length)}.`
        : `All ${formatCount(timeline.length)}, slowest first.`,
      columns: [
        { title: "Object" },
        { title: "Kind" },
        ...(several ? [{ title: "Database" }] : []),
        { title: "Copied", align: "right" },
        { title: "Rate", align: "right" },
        { title: "Time", align: "right" },
        { title: "Share" },
      ],
      rows: slowest.map(({ label, work, database, ms, bytes }) => [
        name(label),
        workWords[work].piece,
        ...(several ? [name(database)] : []),
        bytes === undefined ? "" : formatBytes(bytes),
        bytes === undefined ? "" : formatRate(bytes, ms),
        formatDuration(ms),
        cellBar(ms / longest),
      ]),
    }),
  );
}

/** At least 1, since bars are drawn relative to it. */
function largestOf(parts: readonly { readonly ms: number }[]): number {
  return parts.reduce((largest, { ms }) => Math.max(largest, ms), 1);
}
