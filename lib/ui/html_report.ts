/**
 * The outcome of `init` as a page that needs nothing but itself: to be opened, mailed, printed,
 * kept.
 *
 * @module
 */
import { plural, redact } from "../core/internal.ts";
import { lines, type Markup, markup, name } from "./html_report/markup.ts";
import { renderPage } from "./html_report/page.ts";
import type { ReportView } from "./html_report/report_view.ts";
import { eventsSection, hasEvents } from "./html_report/events_section.ts";
import { planSection } from "./html_report/plan_section.ts";
import { summarySection } from "./html_report/summary_section.ts";
import { slowestSection, stepsSection, tablesSection } from "./html_report/table_sections.ts";
import { timelineSection } from "./html_report/timeline_section.ts";
import { countSetAside, setAsideSection } from "./html_report/set_aside_section.ts";
import { warningsSection } from "./html_report/warnings_section.ts";

export type * from "./html_report/report_view.ts";

/** What the page says about itself. */
export interface HtmlReportOptions {
  readonly generatedAt: Date;
  readonly toolVersion: string;
}

const toolName = "postgres-seren-replicator";

/**
 * One HTML page with everything that is known about a run of `init`. Pure.
 *
 * All texts are escaped; beyond that a policy in the page allows no script but its own, and nothing
 * from elsewhere.
 */
export function renderInitReport(
  report: ReportView,
  { generatedAt, toolVersion }: HtmlReportOptions,
): string {
  const names = report.databases.map(({ target }) => target);
  const generator = `${toolName} ${toolVersion}`;
  return renderPage({
    title: `${names.length > maxNames ? plural(names.length, "database") : names.join(", ")} – ${
      report.failure === undefined ? "copied" : "not copied in full"
    } by init`,
    generator,
    header: pageHeader(report, { names, generatedAt }),
    main: [
      summarySection(report),
      timelineSection(report),
      eventsSection(report),
      setAsideSection(report),
      warningsSection(report),
      stepsSection(report),
      slowestSection(report),
      tablesSection(report),
      planSection(report),
    ],
    footer:
      markup`Made by ${generator}. 1 kB is 1024 bytes. “Copied” is what went over the wire; “on disk” is what the tables take at the source, TOAST included, indexes not.`,
  });
}

function pageHeader(
  report: ReportView,
  { names, generatedAt }: { readonly names: readonly string[]; readonly generatedAt: Date },
): Markup {
  const { source, target } = report.plan;
  const date = generatedAt.toISOString();
  const time = markup`<time datetime="${date}">${date.slice(0, 16).replace("T", " ")} UTC</time>`;
  const links = [
    ["summary", "Summary"],
    ["timeline", "Timeline"],
    ...(hasEvents(report) ? [["events", "In between"]] : []),
    ...(countSetAside(report) > 0 ? [["set-aside", "Not created"]] : []),
    ["warnings", "Warnings"],
    ["steps", "Steps"],
    ...(report.timeline.length > 0 ? [["slowest", "Slowest"]] : []),
    ["tables", "Tables"],
    ["plan", "Plan"],
  ];
  return markup`<header>
<h1>Copy of ${nameList(names)}</h1>
<p>PostgreSQL ${source.version} → ${target.version}, ${
    report.failure === undefined ? "finished" : "ended"
  } ${time}</p>
${statusLine(report)}
<nav aria-label="Sections"><ul>${
    links.map(([id, title]) => markup`<li><a href="#${id}">${title}</a></li>`)
  }</ul></nav>
</header>`;
}

const maxNames = 6;

function nameList(names: readonly string[]): Markup {
  if (names.length > maxNames) return markup`${plural(names.length, "database")}`;
  return markup`${names.map((each, index) => [index === 0 ? "" : ", ", name(each)])}`;
}

function statusLine({ warnings, failure, databases }: ReportView): Markup {
  if (failure !== undefined) {
    return markup`<p class="status failed">✗ Ended before everything was copied</p>
<div class="failure">${lines(redact(failure))}</div>
<p>What this page tells of is done and kept: the same command goes on from there.</p>`;
  }
  const setAside = countSetAside({ databases });
  if (setAside > 0) {
    const objects = plural(setAside, "object");
    return markup`<p class="status warned">! Complete except for <a href="#set-aside">${objects}</a></p>`;
  }
  if (warnings.length === 0) return markup`<p class="status">✓ Done, without warnings</p>`;
  const count = plural(warnings.length, "warning");
  return markup`<p class="status warned">! Done, with <a href="#warnings">${count}</a></p>`;
}
