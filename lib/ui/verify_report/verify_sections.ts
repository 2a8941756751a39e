import {
  displayName,
  formatBytes,
  formatCount,
  formatDuration,
  plural,
  redact,
  stepTitle,
} from "../../core/internal.ts";
import { dataTable } from "../html_report/data_table.ts";
import { type Content, lines, type Markup, markup, name } from "../html_report/markup.ts";
import { section } from "../html_report/section.ts";
import { serverEntry, tile } from "../html_report/summary_section.ts";
import { objectItem } from "./differences_section.ts";
import { groupNotChecked, sectionTitle } from "./not_checked.ts";
import type { VerifyView } from "./verify_view.ts";
import { methodWords, verdictMark } from "./verify_words.ts";

/** What was compared and when. */
export function verifySummary(report: VerifyView): Markup {
  const { databases, notChecked, rows, bytes, ms } = report;
  const tables = databases.flatMap((database) => database.tables);
  const sections = databases.flatMap((database) => database.sections);
  const equal = tables.filter(({ verdict }) => verdict === "equal").length;
  const objects = sections.reduce((sum, { compared }) => sum + compared, 0);
  const differing = sections.reduce((sum, { differences }) => sum + differences.length, 0);
  return section(
    { id: "summary", title: "Summary" },
    markup`<dl class="tiles">
${
      tile({
        title: "Tables with equal rows",
        value: `${formatCount(equal)} of ${formatCount(tables.length)}`,
        note: `${formatBytes(bytes)} on the source`,
      })
    }
${tile({ title: "Rows", value: formatCount(rows), note: "all compared, without sampling" })}
${
      tile({
        title: "Other objects",
        value: formatCount(objects),
        note: differing === 0 ? "no differences" : `${plural(differing, "difference")}`,
      })
    }
${
      tile({
        title: "Not checked",
        value: formatCount(groupNotChecked(notChecked).length),
        note: "listed below with reasons",
      })
    }
${tile({ title: "Time", value: formatDuration(ms), note: "on both servers in parallel" })}
</dl>
<dl class="servers">
${serverEntry("Source", report.source)}
${serverEntry("Target", report.target)}
${moments(report)}
</dl>`,
  );
}

function moments({ startedAt, finishedAt, databases }: VerifyView): Markup {
  const positions = databases.flatMap(({ source, asOf, live }) =>
    asOf === undefined ? [] : [`${source} as of ${asOf}${live ? ", under replication" : ""}`]
  );
  return markup`<div><dt>When</dt><dd><strong><time datetime="${startedAt}">${
    moment(startedAt)
  }</time> to <time datetime="${finishedAt}">${moment(finishedAt)}</time> UTC</strong> <code>${
    positions.length === 0 ? "WAL position unknown" : positions.join("; ")
  }</code></dd></div>`;
}

function moment(iso: string): string {
  return iso.slice(0, 19).replace("T", " ");
}

/** Expected differences, grouped by reason. */
export function notesSection({ databases }: VerifyView): Markup | undefined {
  const notes = databases.flatMap(({ sections }) => sections.flatMap((each) => each.notes));
  if (notes.length === 0) return undefined;
  const groups = Map.groupBy(notes, ({ reason = "" }) => reason);
  return section({ id: "notes", title: "Expected differences" }, [
    markup`<p>These do not affect the verdict.</p>`,
    [...groups].map(([reason, group]) =>
      markup`<details${group.length <= 10 ? markup` open` : undefined}><summary><h3>${
        redact(reason)
      }</h3> ${formatCount(group.length)}</summary>
<ul class="warnings">${
        group.map(({ reason: _, ...note }) => objectItem(note, "quiet"))
      }</ul></details>
`
    ),
  ]);
}

/** Every table with its rows, digest and method. */
export function verifiedTables({ databases }: VerifyView): Markup {
  const several = databases.length > 1;
  const tables = databases.flatMap(({ source, asOf, tables }) =>
    tables.map((table) => ({ database: source, asOf, ...table }))
  ).sort((a, b) => Number(a.verdict === "equal") - Number(b.verdict === "equal"));
  if (tables.length === 0) {
    return section({ id: "tables", title: "Rows" }, markup`<p>No tables were compared.</p>`);
  }
  const positions = tables.some(({ asOf }) => asOf !== undefined);
  const count = (rows: number | undefined) => rows === undefined ? "" : formatCount(rows);
  return section(
    { id: "tables", title: "Rows" },
    dataTable({
      caption:
        "Each server computes a digest of all rows, independent of their order. Equal contents have equal digests.",
      columns: [
        { title: "Table" },
        { title: "Verdict" },
        ...(several ? [{ title: "Database" }] : []),
        { title: "Source rows", align: "right" },
        { title: "Target rows", align: "right" },
        { title: "Size", align: "right" },
        { title: "Digest" },
        { title: "Method" },
        ...(positions ? [{ title: "As of" }] : []),
        { title: "Time", align: "right" },
      ],
      rows: tables.map((table) => [
        [
          name(displayName(table)),
          table.predicate === undefined
            ? undefined
            : markup`<br><small>rows where ${redact(table.predicate)}</small>`,
          table.reason === undefined
            ? undefined
            : markup`<br><small>${redact(table.reason)}</small>`,
        ],
        verdictMark(table.verdict),
        ...(several ? [name(table.database)] : []),
        count(table.sourceRows),
        count(table.targetRows),
        formatBytes(table.bytes),
        table.digest === undefined ? "" : markup`<code class="digest">${table.digest}</code>`,
        methodWords(table.method),
        ...(positions ? [table.asOf ?? ""] : []),
        formatDuration(table.ms),
      ]),
    }),
  );
}

/** Every kind of object that was compared. */
export function verifiedObjects({ databases }: VerifyView): Markup {
  const several = databases.length > 1;
  const rows = databases.flatMap(({ source, sections }) =>
    sections.filter(({ compared, verdict }) => compared > 0 || verdict !== "equal")
      .map((each): readonly Content[] => [
        sectionTitle(each.section),
        verdictMark(each.verdict),
        ...(several ? [name(source)] : []),
        formatCount(each.compared),
        formatCount(each.differences.length),
        formatCount(each.notes.length),
        each.reason ?? "",
      ])
  );
  return section(
    { id: "objects", title: "Other objects" },
    rows.length === 0 ? markup`<p>No objects were compared.</p>` : dataTable({
      caption:
        "Including owners, privileges and comments. Parts of a missing object are not counted separately.",
      columns: [
        { title: "Kind" },
        { title: "Verdict" },
        ...(several ? [{ title: "Database" }] : []),
        { title: "Compared", align: "right" },
        { title: "Differences", align: "right" },
        { title: "Expected differences", align: "right" },
        { title: "" },
      ],
      rows,
    }),
  );
}

/** What the verdict does not cover. */
export function notCheckedSection({ notChecked, warnings }: VerifyView): Markup {
  const groups = groupNotChecked(notChecked);
  return section({ id: "not-checked", title: "Not checked" }, [
    groups.length === 0
      ? markup`<p>Nothing was skipped.</p>`
      : markup`<ul class="warnings">${
        groups.map(({ databases, what, reason, failed }) =>
          markup`<li${failed ? undefined : markup` class="quiet"`}>${
            failed ? markup`<b>Could not be checked: </b>` : undefined
          }${databases.map((each, at) => [at === 0 ? "" : ", ", name(each)])}${
            databases.length === 0 ? "" : ": "
          }<b>${redact(what)}</b>: ${lines(redact(reason))}</li>\n`
        )
      }</ul>`,
    warnings.length === 0
      ? undefined
      : markup`<h3>Warnings</h3><ul class="warnings">${
        warnings.map(({ message, remedy }) =>
          markup`<li>${lines(redact(message))}${
            remedy === undefined ? undefined : markup`<div class="remedy">${redact(remedy)}</div>`
          }</li>`
        )
      }</ul>`,
  ]);
}

/** What repair changed on the target, or would change. */
export function repairSection({ repair }: VerifyView): Markup | undefined {
  if (repair === undefined) return undefined;
  return section({ id: "repair", title: "Repair" }, [
    markup`<p>${plural(repair.rows, "row")} ${
      repair.applied
        ? "written or deleted on the target."
        : "would be written or deleted on the target."
    }</p>`,
    repair.statements.length === 0
      ? undefined
      : markup`<details><summary>${plural(repair.statements.length, "statement")}</summary>${
        repair.statements.map((statement) => markup`<pre>${lines(redact(statement))}</pre>`)
      }</details>`,
  ]);
}

/** How long each step took. */
export function verifySteps({ steps, databases }: VerifyView): Markup {
  const several = databases.length > 1;
  return section(
    { id: "steps", title: "Steps" },
    dataTable({
      caption: "In order.",
      columns: [
        { title: "Step" },
        ...(several ? [{ title: "Database" }] : []),
        { title: "Time", align: "right" },
        { title: "Result" },
      ],
      rows: steps.map(({ step, database, ms, summary }) => [
        stepTitle(step),
        ...(several ? [database === undefined ? "" : name(database)] : []),
        formatDuration(ms),
        summary ?? "",
      ]),
    }),
  );
}
