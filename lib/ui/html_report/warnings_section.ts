import { plural, redact } from "../../core/internal.ts";
import { type Content, lines, type Markup, markup, name } from "./markup.ts";
import type { ReportView, WarningView } from "./report_view.ts";
import { section } from "./section.ts";

/**
 * What was done differently or skipped, and what to do about it. The same warning about several
 * objects is shown once.
 */
export function warningsSection({ warnings, plan }: ReportView): Markup {
  const groups = Map.groupBy(
    warnings,
    ({ message, remedy, side }) => JSON.stringify([message, remedy, side]),
  );
  const known = plan.warnings.map((text) => markup`<li>${lines(redact(text))}</li>\n`);
  return section({ id: "warnings", title: "Warnings" }, [
    warnings.length === 0
      ? markup`<p>None.</p>`
      : markup`<ul class="warnings">\n${[...groups.values()].map(warningItem)}</ul>`,
    known.length === 0
      ? undefined
      : markup`\n<h3>Known before the run</h3>\n<ul class="warnings">\n${known}</ul>`,
  ]);
}

function warningItem(group: readonly WarningView[]): Markup {
  const [{ message, remedy, side } = { message: "" }] = group;
  const objects = group.flatMap(({ object }) => object === undefined ? [] : [redact(object)]);
  const where = side === undefined ? undefined : markup` <small>(${side})</small>`;
  return markup`<li>${lines(redact(message))}${where}${objectList(objects)}${
    remedy === undefined ? undefined : remedyMarkup(remedy)
  }</li>\n`;
}

/** Further objects of the same warning are collapsed. */
const maxObjects = 8;

function objectList(objects: readonly string[]): Content {
  if (objects.length === 0) return undefined;
  const more = objects.slice(maxObjects);
  const rest = more.length === 0
    ? undefined
    : markup`<details><summary>and ${plural(more.length, "more", "more")}</summary>${
      listed(more)
    }</details>`;
  return markup`<div class="objects">${listed(objects.slice(0, maxObjects))}${rest}</div>`;
}

function listed(objects: readonly string[]): Content {
  return objects.map((object, index) => [index === 0 ? "" : ", ", name(object)]);
}

function remedyMarkup(remedy: string): Markup {
  return markup`<div class="remedy"><b>What to do:</b> ${lines(redact(remedy))}</div>`;
}
