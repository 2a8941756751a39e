import {
  displayName,
  formatBytes,
  formatCount,
  formatDuration,
  plural,
  stepTitle,
} from "../../core/internal.ts";
import { describeApplierChoice } from "../../commands/shared/choose_applier.ts";
import { describeReason, describeStatistics, describeToastChoice } from "../../copy/internal.ts";
import type { InitPlan, TablePlan } from "../../commands/shared/init_plan.ts";
import { makeStyle, printable, renderTable, type Style, type TableOptions } from "../../ui/mod.ts";
import { firstNames, firstTables, identityLines } from "./source_change_lines.ts";
import { serverLine } from "./server_line.ts";

const maxTables = 20;

/** The plan of `init` as lines: the servers, what happens to each database, its largest tables. */
export function initPlanLines(plan: InitPlan, options: TableOptions): string[] {
  const style = makeStyle(options.color);
  const lines = [serverLine("source", plan.source), serverLine("target", plan.target), ""];
  for (const database of plan.databases) {
    const place = `${printable(database.target)} @ ${hostOf(plan.target.url)}`;
    lines.push(
      `${style.bold(`${printable(database.source)} → ${place}`)}: ` +
        `${plural(database.tables.length, "table")}, ${formatBytes(database.bytes)}` +
        (database.largeObjects > 0 ? `, ${plural(database.largeObjects, "large object")}` : ""),
    );
    lines.push(...actionLines(database, style), ...storageLines(database, style));
    const largest = [...database.tables].sort((a, b) => b.bytes - a.bytes).slice(0, maxTables);
    if (largest.length > 0) {
      const isEstimated = largest.some(({ rowEstimate }) => rowEstimate !== undefined);
      const rows = largest.map((table) => [
        `  ${printable(displayName(table))}`,
        formatBytes(table.bytes),
        ...(isEstimated
          ? [table.rowEstimate === undefined ? "" : `~${formatCount(table.rowEstimate)}`]
          : []),
        copyWords(table),
      ]);
      lines.push(...renderTable(
        [
          { title: "  Table", narrow: "cut" },
          { title: "Size", align: "right" },
          ...(isEstimated ? [{ title: "Rows", align: "right" as const }] : []),
          { title: "Copied as", narrow: "wrap" },
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
    `Total: ${formatBytes(plan.bytes)} in ${plural(plan.databases.length, "database")}${time}; ` +
      `${plural(plan.jobs, "table")} and ${
        plural(plan.indexJobs, "index", "indexes")
      } in parallel; ` +
      `schema by ${plan.dumpTool}`,
  );
  lines.push(...predictionLines(plan, style));
  if (plan.applier !== undefined) {
    lines.push(`Replication: ${printable(describeApplierChoice(plan.applier))}`);
  }
  lines.push(...existingLines(plan, style), ...sourceLines(plan, style));
  for (const warning of plan.warnings) lines.push(`${style.yellow("!")} ${printable(warning)}`);
  return lines;
}

/** Where the server that is written to listens: `127.0.0.1:5433`, `/tmp/.s.PGSQL.5432`. */
function hostOf(url: string): string {
  return printable(/\/\/(?:[^@/]*@)?(.+)\/[^/]*$/.exec(url)?.[1] ?? url);
}

/** What the target has already, which the copy leaves or adds to. */
function existingLines({ existing }: InitPlan, style: Style): string[] {
  const { databases = [], roles = [] } = existing ?? {};
  if (databases.length + roles.length === 0) return [];
  return [
    "",
    style.bold("Already on the target"),
    ...(databases.length === 0
      ? []
      : [`  ${plural(databases.length, "other database")}, not touched: ${firstNames(databases)}`]),
    ...(roles.length === 0 ? [] : [
      `  ${
        plural(roles.length, "role")
      } of the source, to which attributes, memberships and settings are added: ${
        firstNames(roles)
      }`,
    ]),
  ];
}

/** What replication changes on the source. */
function sourceLines({ databases }: InitPlan, style: Style): string[] {
  const changed = databases.flatMap(({ source, sourceChanges }) =>
    sourceChanges === undefined ? [] : [{ source, ...sourceChanges }]
  );
  if (changed.length === 0) return [];
  return [
    "",
    style.bold("Changes to the source"),
    ...changed.flatMap(({ source, name, published, identities, notReplicated }) => [
      `  ${printable(source)}: publication and replication slot ${name} for ${
        plural(published, "table")
      }; the slot retains WAL until the target has confirmed it`,
      ...identityLines({ source, identities }, style),
      ...(notReplicated.length === 0 ? [] : [
        `  ${printable(source)}: unchanged, and copied once without later changes: ${
          firstTables(notReplicated)
        }`,
      ]),
    ]),
    "  cleanup undoes all of this.",
    "",
  ];
}

/**
 * The composition of the predicted time, longest first: ` of which copy rows 8.0 s, build indexes
 * 2.1 s, the rest 0.9 s`.
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

/**
 * How values are compressed, and where statistics come from: ` statistics: 38 tables from the
 * source, 2 analyzed`, and the analyzed ones by reason.
 */
function storageLines(
  { statistics, toastCompression }: InitPlan["databases"][number],
  style: Style,
): string[] {
  const byReason = Map.groupBy(statistics.analyzed, ({ reason }) => reason);
  return [
    `  compression of large values: ${describeToastChoice(toastCompression)}`,
    `  statistics: ${describeStatistics(statistics)}`,
    ...[...byReason].map(([reason, tables]) => {
      const names = tables.slice(0, maxAnalyzed).map((table) =>
        displayName(table) +
        (table.columns === undefined ? "" : ` (${table.columns.join(", ")})`)
      );
      const more = tables.length - names.length;
      return style.dim(
        `    ${describeReason(reason)}: ${printable(names.join(", "))}` +
          (more > 0 ? ` and ${plural(more, "other")}` : ""),
      );
    }),
  ];
}

const maxAnalyzed = 5;

function actionLines(
  { action, target, willBeLost, contents }: InitPlan["databases"][number],
  style: Style,
): string[] {
  switch (action) {
    case "create":
      return [`  will be created on the target`];
    case "fill-empty":
      return [`  exists on the target and is empty: will be filled${has(contents)}`];
    case "resume":
      return [`  exists on the target as an unfinished copy: will be resumed${has(contents)}`];
    case "drop-and-create":
      return [
        style.red(`  ✗ "${printable(target)}" will be DROPPED on the target and created again`),
        ...(willBeLost === undefined
          ? []
          : [style.red(`    will be lost: ${printable(willBeLost)}`)]),
      ];
  }
}

function has(contents: string | undefined): string {
  return contents === undefined || contents === "nothing" ? "" : ` (has ${printable(contents)})`;
}
