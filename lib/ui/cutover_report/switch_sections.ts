import { formatCount, formatDuration, plural, redact, stepTitle } from "../../core/internal.ts";
import { dataTable } from "../html_report/data_table.ts";
import { lines, type Markup, markup, name } from "../html_report/markup.ts";
import { section } from "../html_report/section.ts";
import { tile } from "../html_report/summary_section.ts";
import type { SwitchView } from "./cutover_view.ts";
import { momentOfSwitch, serversAndTime, waitingTiles } from "./summary_parts.ts";
import { drawSwitch } from "./switch_timeline.ts";

/** The pause, what was proven, and both servers. */
export function switchSummary(report: SwitchView): Markup {
  const { databases, pauseMs, maxPauseMs } = report;
  const tokens = databases.flatMap(({ evidence }) => evidence?.tokens ?? []);
  const longestToken = Math.max(0, ...tokens.map(({ ms }) => ms));
  return section(
    { id: "summary", title: "Summary" },
    markup`<dl class="tiles">
${
      tile({
        title: "Pause",
        value: formatDuration(pauseMs),
        note: `${formatDuration(maxPauseMs)} were allowed`,
      })
    }
${
      tile({
        title: "Databases",
        value: formatCount(databases.length),
        note: "closed and opened together",
      })
    }
${
      tile({
        title: "Tokens",
        value: formatCount(tokens.length),
        note: tokens.length === 0
          ? "not recorded"
          : `the last arrived after ${formatDuration(longestToken)}`,
      })
    }
${waitingTiles(report, { withoutAttempts: "the barrier was granted at once" })}
</dl>
${serversAndTime(report)}`,
  );
}

/** What happened when: a chart and the same as a table. */
export function switchTimeline({ steps }: Pick<SwitchView, "steps">): Markup {
  if (steps.length === 0) {
    return section(
      { id: "timeline", title: "Timeline" },
      markup`<p>The steps were taken by an earlier attempt; its log has them.</p>`,
    );
  }
  return section({ id: "timeline", title: "Timeline" }, [
    drawSwitch(steps),
    dataTable({
      caption: "In the order in which the steps ended.",
      columns: [
        { title: "Step" },
        { title: "Started at", align: "right" },
        { title: "Time", align: "right" },
        { title: "Writers" },
        { title: "Result" },
      ],
      rows: steps.map(({ step, atMs, ms, isPause, summary }) => [
        stepTitle(step),
        startOf(atMs),
        formatDuration(ms),
        isPause ? "wait" : "",
        redact(summary),
      ]),
    }),
  ]);
}

/** Steps overlap by milliseconds: a rounded time would not show their order. */
function startOf(ms: number): string {
  return `${(ms / 1_000).toFixed(3)} s`;
}

/** Failed attempts at the barrier, and what each waited for. */
export function attemptsSection({ attempts }: Pick<SwitchView, "attempts">): Markup {
  return section(
    { id: "attempts", title: "Failed attempts" },
    attempts.length === 0 ? markup`<p>None.</p>` : dataTable({
      caption:
        "Each made writers wait for a moment; then they continued, and the next one was made later.",
      columns: [
        { title: "Started at", align: "right" },
        { title: "Writers waited", align: "right" },
        { title: "Waited for" },
      ],
      rows: attempts.map(({ atMs, ms, blockers }) => [
        startOf(atMs),
        formatDuration(ms),
        blockers.length === 0
          ? "locks that were released in the meantime"
          : lines(redact(blockers.join("\n"))),
      ]),
    }),
  );
}

/** The proof that nothing is missing: every token with its position. */
export function evidenceSection({ databases, direction }: SwitchView): Markup {
  const [closed, opened] = direction === "run" ? ["source", "target"] : ["target", "source"];
  const unknown = databases.filter(({ evidence }) => evidence === null);
  const rows = databases.flatMap(({ database, evidence }) =>
    (evidence?.tokens ?? []).map(({ stream, id, lsn, ms }) => [
      name(database),
      markup`<code>${stream}</code>`,
      markup`<code>${id}</code>`,
      markup`<code>${lsn}</code>`,
      formatDuration(ms),
    ])
  );
  return section({ id: "evidence", title: "Evidence" }, [
    markup`<p>While no writer could commit, a row with a random ID was inserted on the ${closed} for every stream. Changes are applied in the order of their commits: once the row was visible on the ${opened}, so was everything committed before it.</p>
`,
    rows.length === 0 ? markup`<p>No token was recorded.</p>` : dataTable({
      caption: "One token for each stream.",
      columns: [
        { title: "Database" },
        { title: "Stream" },
        { title: "Token" },
        { title: "WAL position" },
        { title: "Arrived after", align: "right" },
      ],
      rows,
    }),
    dataTable({
      caption: "What was compared or carried over while writers waited.",
      columns: [
        { title: "Database" },
        { title: "Writers held since" },
        { title: "Drained at" },
        { title: "Tables compared", align: "right" },
        { title: "Rows counted", align: "right" },
        { title: "Sequences set", align: "right" },
        { title: "Sessions waited", align: "right" },
        { title: "Longest", align: "right" },
        { title: "Writes refused", align: "right" },
      ],
      rows: databases.map(({ database, evidence, compared, waiting, refusedWrites }) => [
        name(database),
        evidence?.heldSince == null ? "unknown" : momentOfSwitch(evidence.heldSince),
        evidence === null ? "unknown" : momentOfSwitch(evidence.closedAt),
        compared === null ? "by an earlier attempt" : formatCount(compared.tables),
        compared === null ? "" : compared.rows === null ? "no" : formatCount(compared.rows),
        evidence === null ? "" : formatCount(evidence.sequences),
        formatCount(waiting.sessions),
        formatDuration(waiting.longestMs),
        refusedWrites === null ? "not counted" : formatCount(refusedWrites),
      ]),
    }),
    unknown.length === 0
      ? undefined
      : markup`<p>The evidence of ${
        unknown.map(({ database }, index) => [index === 0 ? "" : ", ", name(database)])
      } is not known: it was closed by an earlier attempt.</p>`,
  ]);
}

/** Sessions that were terminated, and hooks with their outcomes. */
export function clientsSection({ steps, warnings }: SwitchView): Markup {
  const ended = steps.filter(({ step }) => step === "end-sessions");
  const hooks = steps.filter(({ step }) => step.startsWith("hook-"));
  return section({ id: "clients", title: "Clients" }, [
    ended.length === 0
      ? markup`<p>No sessions were terminated.</p>`
      : markup`<ul class="warnings">${
        ended.map(({ summary }) => markup`<li class="quiet">${redact(summary)}</li>\n`)
      }</ul>`,
    hooks.length === 0 ? markup`<p>No hooks were run.</p>` : dataTable({
      caption: "Commands that were run during the switch.",
      columns: [{ title: "Hook" }, { title: "Time", align: "right" }, { title: "Result" }],
      rows: hooks.map(({ step, ms, summary }) => {
        const failed = summary === "failed" ||
          warnings.some((warning) => warning.startsWith(`${step}:`));
        return [
          stepTitle(step),
          formatDuration(ms),
          markup`<span class="verdict ${failed ? "different" : "equal"}">${
            failed ? "✗ failed" : "✓ succeeded"
          }</span>`,
        ];
      }),
    }),
  ]);
}

/** What the switch does not prove. */
export function uncheckedSection({ databases, unchecked }: SwitchView): Markup {
  const own = databases.flatMap(({ database, evidence }) =>
    (evidence?.unchecked ?? []).filter((each) => !unchecked.includes(each))
      .map((each) => markup`<li class="quiet">${name(database)}: ${redact(each)}</li>\n`)
  );
  return section(
    { id: "not-checked", title: "Not prevented and not checked" },
    unchecked.length + own.length === 0
      ? markup`<p>Nothing was recorded.</p>`
      : markup`<ul class="warnings">${
        unchecked.map((each) => markup`<li class="quiet">${redact(each)}</li>\n`)
      }${own}</ul>`,
  );
}

/** What went wrong without stopping the switch. */
export function switchWarnings({ warnings }: Pick<SwitchView, "warnings">): Markup {
  return section(
    { id: "warnings", title: "Warnings" },
    warnings.length === 0
      ? markup`<p>None.</p>`
      : markup`<ul class="warnings">${
        warnings.map((warning) => markup`<li>${lines(redact(warning))}</li>\n`)
      }</ul>`,
  );
}

/** `✓ The target is in use` */
export function switchStatus({ direction, warnings }: SwitchView): Markup {
  const side = direction === "run" ? "target" : "source";
  if (warnings.length === 0) return markup`<p class="status">✓ The ${side} is in use</p>`;
  const count = plural(warnings.length, "warning");
  return markup`<p class="status warned">! The ${side} is in use, with <a href="#warnings">${count}</a></p>`;
}
