import { formatBytes, formatCount, formatDuration, plural, redact } from "../../core/internal.ts";
import { type Markup, markup } from "./markup.ts";
import type { ReportView, ServerView } from "./report_view.ts";
import { section } from "./section.ts";
import { formatRate, formatShare } from "./words.ts";

/** Rows, bytes, time, rate and prediction. */
export function summarySection(
  { plan, databases, steps, rows, bytes, before, ms, failure }: ReportView,
): Markup {
  const tables = databases.flatMap((database) => database.tables);
  const uncounted = tables.filter((table) => table.uncounted).length;
  const copyMs = sumOf(steps.filter(({ step }) => step === "data"));
  const workMs = workingTime({ databases, steps });
  return section({ id: "summary", title: "Summary" }, [
    markup`<dl class="tiles">
${
      tile({
        title: "Rows",
        value: formatCount(rows),
        note: `in ${plural(tables.length, "table")}${
          uncounted === 0 ? "" : `; ${formatCount(uncounted)} copied earlier without a count`
        }`,
      })
    }
${
      tile({
        title: "Copied",
        value: formatBytes(bytes),
        note: `of ${formatBytes(plan.bytes)} on the source` +
          (before === undefined ? "" : `; ${formatBytes(before.bytes)} of it by earlier runs`),
      })
    }
${
      tile({
        title: "Time",
        value: formatDuration(workMs),
        note: `${formatDuration(ms)} including validation and waiting`,
      })
    }
${
      copyMs > 0
        ? tile({
          title: "Rate",
          value: formatRate(bytes - (before?.bytes ?? 0), copyMs),
          note: `during the ${formatDuration(copyMs)} of copying rows`,
        })
        : undefined
    }
${failure === undefined ? predictionTile(plan.predictedMs, workMs) : undefined}
</dl>
<dl class="servers">
${serverEntry("Source", plan.source)}
${serverEntry("Target", plan.target)}
</dl>`,
  ]);
}

/**
 * From confirmation to the end: the run without validation and waiting for an answer. Roles and
 * settings may still be copied when the first database begins.
 */
function workingTime({ databases, steps }: Pick<ReportView, "databases" | "steps">): number {
  const starts = steps.flatMap(({ database, startMs }) => database === undefined ? [] : [startMs]);
  const firstMs = Math.min(...starts);
  const alone = steps.filter(({ step }) => step === "globals")
    .map(({ startMs, ms }) => ({ ms: Math.max(0, Math.min(ms, firstMs - startMs)) }));
  return sumOf(databases) + sumOf(alone);
}

function predictionTile(predictedMs: number | undefined, workMs: number): Markup {
  if (predictedMs === undefined) {
    return tile({ title: "Predicted", value: "–", note: "too little data for a prediction" });
  }
  const ratio = workMs / Math.max(1, predictedMs);
  const difference = ratio > 1.995
    ? `took ${ratio.toFixed(1)} times as long`
    : Math.abs(ratio - 1) < 0.005
    ? "exact"
    : `took ${formatShare(Math.abs(ratio - 1))} ${ratio > 1 ? "longer" : "less"}`;
  return tile({ title: "Predicted", value: formatDuration(predictedMs), note: difference });
}

/** A figure with its title and a short note. */
export function tile(
  { title, value, note }: {
    readonly title: string;
    readonly value: string;
    readonly note: string;
  },
): Markup {
  return markup`<div><dt>${title}</dt><dd><strong>${value}</strong> <span>${note}</span></dd></div>`;
}

/** One line about a server. */
export function serverEntry(
  side: string,
  { url, version, provider, encrypted }: ServerView,
): Markup {
  const words = [
    `PostgreSQL ${version}`,
    ...(provider === undefined ? [] : [provider]),
    encrypted ? "encrypted" : "not encrypted",
  ];
  return markup`<div><dt>${side}</dt><dd><strong>${words.join(", ")}</strong> <code>${
    redact(url)
  }</code></dd></div>`;
}

function sumOf(parts: readonly { readonly ms: number }[]): number {
  return parts.reduce((sum, { ms }) => sum + ms, 0);
}
