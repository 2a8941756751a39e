import { displayName, formatCount, plural, redact } from "../../core/internal.ts";
import { type Content, lines, type Markup, markup, name } from "../html_report/markup.ts";
import { section } from "../html_report/section.ts";
import type {
  ObjectDifferenceView,
  RowDifferenceView,
  VerifiedDatabaseView,
  VerifiedTableView,
  VerifyView,
} from "./verify_view.ts";

/** Everything that differs, database by database: objects, then rows. */
export function differencesSection({ databases }: VerifyView): Markup {
  const several = databases.length > 1;
  const parts = databases.map((database) => databaseDifferences(database, several));
  const none = parts.every((part) => part === undefined);
  return section(
    { id: "differences", title: "Differences" },
    none ? markup`<p>None found.</p>` : parts,
  );
}

function databaseDifferences(
  { source, tables, sections }: VerifiedDatabaseView,
  several: boolean,
): Content {
  const objects = sections.filter(({ differences }) => differences.length > 0);
  const rows = tables.filter(({ verdict }) => verdict === "different");
  if (objects.length === 0 && rows.length === 0) return undefined;
  const place = several ? markup` <small>in ${name(source)}</small>` : undefined;
  return [
    objects.map(({ section: title, compared, differences }) =>
      markup`<h3>${title}${place}</h3>
<p>${formatCount(differences.length)} in ${plural(compared, "object")} compared.</p>
<ul class="warnings">${differences.map((difference) => objectItem(difference, "bad"))}</ul>
`
    ),
    rows.map((table) => rowsOf(table, place)),
  ];
}

/** A difference or a note; long values are collapsed. */
export function objectItem(
  { object, message, source, target, reason, remedy }: ObjectDifferenceView,
  kind: "bad" | "quiet",
): Markup {
  const isLong = [source, target].some((text) => (text ?? "").length > 60);
  return markup`<li class="${kind}"><b>${name(redact(object))}</b>: ${lines(redact(message))}${
    isLong
      ? markup`<details><summary>Show both</summary>${side("Source", source)}${
        side("Target", target)
      }</details>`
      : undefined
  }${reason === undefined ? undefined : markup`<div class="remedy">${redact(reason)}</div>`}${
    remedy === undefined
      ? undefined
      : markup`<div class="remedy"><b>What to do:</b> <code>${redact(remedy)}</code></div>`
  }</li>
`;
}

function side(title: string, text: string | null | undefined): Content {
  return text === undefined || text === null
    ? undefined
    : markup`<small>${title}</small><pre>${lines(redact(text))}</pre>`;
}

function rowsOf(table: VerifiedTableView, place: Content): Markup {
  const { differences, more, reason } = table;
  return markup`<h3>Rows of ${name(displayName(table))}${place}</h3>
${reason === undefined ? undefined : markup`<p>${redact(reason)}</p>`}
<ul class="warnings">${differences.map(rowItem)}</ul>
${more ? markup`<p>More rows differ; increase --max-diffs to list them.</p>` : undefined}
`;
}

const kinds: Readonly<Record<RowDifferenceView["kind"], string>> = {
  missing: "missing on the target",
  extra: "only on the target",
  different: "different",
};

function rowItem({ kind, key, columns, sourceCount, targetCount }: RowDifferenceView): Markup {
  const title = key.map(({ column, value }) =>
    value === undefined ? column : `${column} = ${shown(value)}`
  ).join(", ");
  const counts = sourceCount === undefined && targetCount === undefined
    ? ""
    : `, ${formatCount(sourceCount ?? 0)} × on the source, ${
      formatCount(targetCount ?? 0)
    } × on the target`;
  return markup`<li class="bad"><b>${name(title === "" ? "row" : title)}</b>: ${
    kinds[kind]
  }${counts}${
    columns.map(({ column, source, target }) => {
      const values = [source, target].flatMap((value) => value === undefined ? [] : [shown(value)]);
      return markup`<div class="objects">${name(column)}${
        values.length === 0 ? "" : `: ${values.join(" → ")}`
      }</div>`;
    })
  }</li>
`;
}

function shown(value: string | null): string {
  return value === null ? "NULL" : JSON.stringify(value);
}
