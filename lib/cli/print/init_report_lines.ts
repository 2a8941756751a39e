import {
  describeRetry,
  displayName,
  formatBytes,
  formatCount,
  formatDuration,
  plural,
  stepTitle,
} from "../../core/internal.ts";
import {
  type InitReport,
  setAsideObjects,
  type TableReport,
} from "../../commands/shared/init_report.ts";
import { type Warning } from "../../commands/shared/report.ts";
import { makeStyle, printable, renderTable, type Style, type TableOptions } from "../../ui/mod.ts";

const maxTables = 20;

/** The outcome of `init` as lines: tables, steps, warnings, totals. */
export function initReportLines(report: InitReport, options: TableOptions): string[] {
  const style = makeStyle(options.color);
  const lines: string[] = [];
  for (const database of report.databases) {
    const tables = [...database.tables].sort((a, b) => b.bytes - a.bytes);
    const rows = tables.slice(0, maxTables).map((table) => [
      printable(displayName(table)),
      table.uncounted ? "not counted" : formatCount(table.rows),
      formatBytes(table.bytes),
      table.earlier ? "earlier" : formatDuration(table.ms),
      table.ms >= 1 ? `${formatBytes(copiedNow(table) / (table.ms / 1000))}/s` : "",
    ]);
    lines.push(
      style.bold(printable(database.target)),
      ...renderTable(
        [
          { title: "Table", narrow: "cut" },
          { title: "Rows", align: "right" },
          { title: "Copied", align: "right" },
          { title: "Time", align: "right" },
          { title: "Rate", align: "right" },
        ],
        rows,
        options,
      ),
    );
    const more = tables.length - rows.length;
    if (more > 0) lines.push(style.dim(`and ${plural(more, "smaller table")}`));
    lines.push("");
  }
  lines.push(...stepLines(report, options), ...retryLines(report, style));
  lines.push("", ...warningLines(report.warnings, style), ...setAsideLines(report, style));
  const mark = setAsideObjects(report).length === 0 ? style.green("✓") : style.yellow("!");
  lines.push(
    `${mark} ${totalWords(report)}` +
      (report.warnings.length === 0 ? "" : `, ${plural(report.warnings.length, "warning")}`),
  );
  if (report.steps.some(({ step }) => step === "catch-up")) {
    lines.push(
      "The target now follows the source: status --watch shows the lag, verify proves that both are equal, cleanup ends replication.",
    );
  }
  return lines;
}

/** COPY bytes that this run has copied of a table. */
function copiedNow({ bytes, before }: TableReport): number {
  return bytes - (before?.bytes ?? 0);
}

/** What is on the target, and what of it this run has copied in which time. */
function totalWords({ rows, bytes, before, ms }: InitReport): string {
  const total = `${plural(rows, "row")}, ${formatBytes(bytes)}`;
  if (before === undefined) return `${total} in ${formatDuration(ms)}`;
  return `${total}, of which this run copied ${plural(rows - before.rows, "row")}, ${
    formatBytes(bytes - before.bytes)
  } in ${formatDuration(ms)}`;
}

function stepLines({ steps, databases }: InitReport, options: TableOptions): string[] {
  const several = databases.length > 1;
  const predicted = steps.some(({ predictedMs }) => predictedMs !== undefined);
  return renderTable(
    [
      { title: "Step" },
      ...(several ? [{ title: "Database", narrow: "cut" as const }] : []),
      ...(predicted ? [{ title: "Predicted", align: "right" as const }] : []),
      { title: "Time", align: "right" },
      { title: "", narrow: "wrap" },
    ],
    steps.map(({ step, database, ms, predictedMs, summary, failed, interrupted }) => [
      stepTitle(step),
      ...(several ? [printable(database ?? "")] : []),
      ...(predicted ? [predictedMs === undefined ? "" : formatDuration(predictedMs)] : []),
      formatDuration(ms),
      failed ? interrupted ? "interrupted" : "failed" : printable(summary ?? ""),
    ]),
    options,
  );
}

/** `↻ 3 retries, with pauses of 7.0 s in total; last: …` */
function retryLines({ retries }: InitReport, style: Style): string[] {
  const last = retries.at(-1);
  if (last === undefined) return [];
  const pausedMs = retries.reduce((sum, { delayMs }) => sum + delayMs, 0);
  return [
    "",
    `${style.yellow("↻")} ${plural(retries.length, "retry", "retries")}, with pauses of ${
      formatDuration(pausedMs)
    } in total; last: ${printable(describeRetry(last))}`,
  ];
}

function warningLines(warnings: readonly Warning[], style: Style): string[] {
  if (warnings.length === 0) return [];
  return [
    ...warnings.flatMap(({ message, side, object, remedy }) => {
      const where = [side, object].filter((part) => part !== undefined).join(", ");
      return [
        `${style.yellow("!")} ${printable(where === "" ? message : `${where}: ${message}`)}`,
        ...(remedy === undefined ? [] : [style.dim(`  → ${printable(remedy)}`)]),
      ];
    }),
    "",
  ];
}

/** What is missing in databases that were copied although their run failed. */
export function finishedLines(
  { databases, plan }: Pick<InitReport, "databases" | "plan">,
  options: TableOptions,
): string[] {
  const copied = databases.map(({ target }) => printable(target)).join(", ");
  return setAsideLines(
    { databases, several: plan.databases.length > 1, title: `${copied}: complete` },
    makeStyle(options.color),
  );
}

/** What is not on the target: each object with its statement, the reason and the remedy. */
function setAsideLines(
  { databases, several = databases.length > 1, title = "Complete" }:
    & Pick<InitReport, "databases">
    & { readonly several?: boolean; readonly title?: string },
  style: Style,
): string[] {
  const objects = setAsideObjects({ databases });
  if (objects.length === 0) return [];
  return [
    style.bold(`${title} except for ${plural(objects.length, "object")}:`),
    ...objects.flatMap(({ object, database, statement, reason, remedy }) => [
      `${style.red("✗")} ${printable(several ? `${database}: ${object}` : object)}`,
      `  ${printable(reason)}`,
      style.dim(`  ${printable(statement)}`),
      style.dim(`  → ${printable(remedy)}`),
    ]),
    "",
  ];
}
