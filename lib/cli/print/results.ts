import {
  describeRetry,
  displayName,
  formatBytes,
  formatCount,
  formatDuration,
  plural,
} from "../../core/internal.ts";
import {
  type CheckStatus,
  type InitPlan,
  type InitReport,
  type ServerSummary,
  setAsideObjects,
  type TablePlan,
  type ValidationReport,
  type Warning,
} from "../../commands/shared/report.ts";
import {
  makeStyle,
  printable,
  renderTable,
  stepTitle,
  type Style,
  type TableOptions,
} from "../../ui/mod.ts";

/** Symbols read without colours too. */
const statusWords: Readonly<Record<CheckStatus, string>> = {
  pass: "✓ pass",
  warn: "! warn",
  fail: "✗ FAIL",
};

const maxTables = 20;

/** The outcome of `validate` as lines. */
export function validationLines(report: ValidationReport, options: TableOptions): string[] {
  const style = makeStyle(options.color);
  const paint: Readonly<Record<CheckStatus, (text: string) => string>> = {
    pass: style.green,
    warn: style.yellow,
    fail: (text) => style.bold(style.red(text)),
  };
  const order: readonly CheckStatus[] = ["fail", "warn", "pass"];
  const checks = [...report.checks].sort((a, b) =>
    order.indexOf(b.status) - order.indexOf(a.status)
  );
  const databases = checks.some(({ database }) => database !== undefined);
  const cells = (first: string, place: readonly [string, string], about: string, text: string) => [
    first,
    place[0],
    ...(databases ? [place[1]] : []),
    about,
    text,
  ];
  const rows = checks.flatMap(({ id, status, side, database, finding, fix }) => [
    cells(
      paint[status](statusWords[status]),
      [side, printable(database ?? "")],
      id,
      printable(finding),
    ),
    ...(fix === undefined || status === "pass"
      ? []
      : [cells("", ["", ""], "", `→ ${printable(fix)}`)]),
  ]);
  const columns = [
    { title: "" },
    { title: "Side" },
    ...(databases ? [{ title: "Database", narrow: "cut" as const }] : []),
    { title: "Check" },
    { title: "Finding", narrow: "wrap" as const },
  ];
  const counts = [
    style.green(`${formatCount(report.passed)} passed`),
    paintIf(report.warnings, style.yellow)(plural(report.warnings, "warning")),
    paintIf(report.failures, style.red)(plural(report.failures, "failure")),
  ].join(", ");
  return [
    serverLine("source", report.source),
    serverLine("target", report.target),
    "",
    ...renderTable(columns, rows, options),
    "",
    counts,
  ];
}

/** The plan of `init` as lines: the servers, what happens to each database, its largest tables. */
export function initPlanLines(plan: InitPlan, options: TableOptions): string[] {
  const style = makeStyle(options.color);
  const lines = [serverLine("source", plan.source), serverLine("target", plan.target), ""];
  for (const database of plan.databases) {
    const renamed = database.source === database.target ? "" : ` → ${printable(database.target)}`;
    lines.push(
      style.bold(`${printable(database.source)}${renamed}`) +
        `: ${plural(database.tables.length, "table")}, ${formatBytes(database.bytes)}` +
        (database.largeObjects > 0 ? `, ${plural(database.largeObjects, "large object")}` : ""),
    );
    lines.push(...actionLines(database, style));
    const largest = [...database.tables].sort((a, b) => b.bytes - a.bytes).slice(0, maxTables);
    if (largest.length > 0) {
      const rows = largest.map((table) => [
        `  ${printable(displayName(table))}`,
        formatBytes(table.bytes),
        table.rowEstimate === undefined ? "" : `~${formatCount(table.rowEstimate)}`,
        copyWords(table),
      ]);
      lines.push(...renderTable(
        [
          { title: "  Table", narrow: "cut" },
          { title: "Size", align: "right" },
          { title: "Rows", align: "right" },
          { title: "Copied as", narrow: "cut" },
        ],
        rows,
        options,
      ));
    }
    const more = database.tables.length - largest.length;
    if (more > 0) lines.push(style.dim(`  and ${plural(more, "smaller table")}`));
    lines.push("");
  }
  const time = plan.predictedMs === undefined ? "" : `, about ${formatDuration(plan.predictedMs)}`;
  lines.push(
    `Altogether ${formatBytes(plan.bytes)} in ${
      plural(plan.databases.length, "database")
    }${time}; ` +
      `${plural(plan.jobs, "table")} and ${plural(plan.indexJobs, "index", "indexes")} at once; ` +
      `schema by ${plan.dumpTool}`,
  );
  lines.push(...predictionLines(plan, style));
  for (const warning of plan.warnings) lines.push(`${style.yellow("!")} ${printable(warning)}`);
  return lines;
}

/**
 * What the time is made of, the longest first: ` of which copy rows 8.0 s, build indexes 2.1 s, the
 * rest 0.9 s`.
 */
function predictionLines({ predictedSteps = [] }: InitPlan, style: Style): string[] {
  const sums = [...Map.groupBy(predictedSteps, ({ step }) => step)]
    .map(([step, all]) => ({ step, ms: all.reduce((sum, { ms }) => sum + ms, 0) }))
    .sort((a, b) => b.ms - a.ms);
  if (sums.length === 0) return [];
  const shown = sums.slice(0, maxPredicted);
  const rest = sums.slice(maxPredicted).reduce((sum, { ms }) => sum + ms, 0);
  const words = [
    ...shown.map(({ step, ms }) => `${inSentence(stepTitle(step))} ${formatDuration(ms)}`),
    ...(rest > 0 ? [`the rest ${formatDuration(rest)}`] : []),
  ];
  return [style.dim(`  of which ${words.join(", ")}`)];
}

const maxPredicted = 4;

function inSentence(title: string): string {
  return title.charAt(0).toLowerCase() + title.slice(1);
}

/** `12 parts, binary; 95 % TOAST`, `text, frozen: column tags app.tag[]; partition of sales` */
function copyWords(
  { parts, format, whyText, freeze, bytes, toastBytes, partitionOf }: TablePlan,
): string {
  const how = [
    ...(parts > 1 ? [plural(parts, "part")] : []),
    format + (freeze ? ", frozen" : ""),
  ].join(", ") + (whyText === undefined ? "" : `: ${printable(whyText)}`);
  return [
    how,
    ...(toastBytes > bytes / 2 ? [`${Math.round(100 * toastBytes / bytes)} % TOAST`] : []),
    ...(partitionOf === undefined ? [] : [`partition of ${printable(displayName(partitionOf))}`]),
  ].join("; ");
}

function actionLines(
  { action, target, willBeLost }: InitPlan["databases"][number],
  style: Style,
): string[] {
  switch (action) {
    case "create":
      return [`  will be created on the target`];
    case "fill-empty":
      return [`  exists on the target, empty: will be filled`];
    case "resume":
      return [`  exists on the target as our unfinished copy: goes on where it ended`];
    case "drop-and-create":
      return [
        style.red(`  ✗ "${printable(target)}" will be DROPPED on the target and created again`),
        ...(willBeLost === undefined
          ? []
          : [style.red(`    what is lost: ${printable(willBeLost)}`)]),
      ];
  }
}

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
      table.ms > 0 ? `${formatBytes(table.bytes / (table.ms / 1000))}/s` : "",
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
  lines.push(
    `${style.green("✓")} ${plural(report.rows, "row")}, ${formatBytes(report.bytes)} in ` +
      formatDuration(report.ms) +
      (report.warnings.length === 0 ? "" : `, ${plural(report.warnings.length, "warning")}`),
  );
  if (report.steps.some(({ step }) => step === "catch-up")) {
    lines.push(
      "The target follows the source from now on: status --watch shows how closely, verify proves that both are equal, cleanup ends it.",
    );
  }
  return lines;
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
    steps.map(({ step, database, ms, predictedMs, summary, failed }) => [
      stepTitle(step),
      ...(several ? [printable(database ?? "")] : []),
      ...(predicted ? [predictedMs === undefined ? "" : formatDuration(predictedMs)] : []),
      formatDuration(ms),
      failed ? "failed" : printable(summary ?? ""),
    ]),
    options,
  );
}

/** `↻ 3 retries, 7.0 s of pauses; the last: …` */
function retryLines({ retries }: InitReport, style: Style): string[] {
  const last = retries.at(-1);
  if (last === undefined) return [];
  const pausedMs = retries.reduce((sum, { delayMs }) => sum + delayMs, 0);
  return [
    "",
    `${style.yellow("↻")} ${plural(retries.length, "retry", "retries")}, ${
      formatDuration(pausedMs)
    } of pauses; the last: ${printable(describeRetry(last))}`,
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

/** What databases lack that were copied although their run failed; none when they lack nothing. */
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

/** A server in one line. */
export function serverLine(
  side: string,
  { url, version, provider, encrypted }: ServerSummary,
): string {
  const where = provider === undefined ? "" : `, ${provider}`;
  return `${side}  ${printable(url)}  PostgreSQL ${version}${where}, ${
    encrypted ? "encrypted" : "not encrypted"
  }`;
}

function paintIf(count: number, paint: (text: string) => string): (text: string) => string {
  return count > 0 ? paint : (text) => text;
}
