/**
 * The outcome of `verify` as a page that needs nothing but itself: evidence to be opened, mailed,
 * printed, kept.
 *
 * @module
 */
import { plural } from "../core/internal.ts";
import type { HtmlReportOptions } from "./html_report.ts";
import { type Markup, markup, name } from "./html_report/markup.ts";
import { renderPage } from "./html_report/page.ts";
import { differencesSection } from "./verify_report/differences_section.ts";
import {
  notCheckedSection,
  notesSection,
  repairSection,
  verifiedObjects,
  verifiedTables,
  verifySteps,
  verifySummary,
} from "./verify_report/verify_sections.ts";
import type { VerifyView } from "./verify_report/verify_view.ts";
import { verdictSentence } from "./verify_report/verify_words.ts";

export type * from "./verify_report/verify_view.ts";

const toolName = "postgres-seren-replicator";
const maxNames = 6;

/**
 * One HTML page with everything that a comparison has found, and what it has not looked at. Pure;
 * all texts are escaped.
 */
export function renderVerifyReport(
  report: VerifyView,
  { generatedAt, toolVersion }: HtmlReportOptions,
): string {
  const names = report.databases.map(({ source }) => source);
  const short = names.length > maxNames;
  const generator = `${toolName} ${toolVersion}`;
  const verdict = { equal: "equal", different: "DIFFERENT", unchecked: "not fully checked" };
  return renderPage({
    title: `${short ? plural(names.length, "database") : names.join(", ")} – ${
      verdict[report.verdict]
    }, by verify`,
    generator,
    header: pageHeader(report, {
      names: short
        ? markup`${plural(names.length, "database")}`
        : markup`${names.map((each, index) => [index === 0 ? "" : ", ", name(each)])}`,
      generatedAt,
    }),
    main: [
      verifySummary(report),
      differencesSection(report),
      notCheckedSection(report),
      notesSection(report),
      verifiedTables(report),
      verifiedObjects(report),
      repairSection(report),
      verifySteps(report),
    ],
    footer:
      markup`Made by ${generator}, which prints the SHA-256 digest of this file when it writes it: <code>sha256sum</code> tells whether the file is still the same. 1 kB is 1024 bytes.`,
  });
}

function pageHeader(
  report: VerifyView,
  { names, generatedAt }: { readonly names: Markup; readonly generatedAt: Date },
): Markup {
  const date = generatedAt.toISOString();
  const links = [
    ["summary", "Summary"],
    ["differences", "Differences"],
    ["not-checked", "Not checked"],
    ...(report.databases.some(({ sections }) => sections.some((each) => each.notes.length > 0))
      ? [["notes", "Expected"]]
      : []),
    ["tables", "Rows"],
    ["objects", "Other objects"],
    ["steps", "Steps"],
  ];
  return markup`<header>
<h1>Comparison of ${names}</h1>
<p>PostgreSQL ${report.source.version} and ${report.target.version}, written <time datetime="${date}">${
    date.slice(0, 16).replace("T", " ")
  } UTC</time></p>
${verdictSentence(report)}
<nav aria-label="Sections"><ul>${
    links.map(([id, title]) => markup`<li><a href="#${id}">${title}</a></li>`)
  }</ul></nav>
</header>`;
}
