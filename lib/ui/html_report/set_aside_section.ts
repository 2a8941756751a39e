import { redact } from "../../core/internal.ts";
import { type Content, lines, type Markup, markup, name } from "./markup.ts";
import type { ReportView, SetAsideView } from "./report_view.ts";
import { section } from "./section.ts";

/** How many objects could not be created or filled. */
export function countSetAside({ databases }: Pick<ReportView, "databases">): number {
  return databases.flatMap(listed).length;
}

/**
 * The objects that could not be created, each with its statement, the reason and the remedy;
 * undefined when there are none.
 */
export function setAsideSection({ databases }: ReportView): Content {
  if (countSetAside({ databases }) === 0) return undefined;
  return section({ id: "set-aside", title: "Objects that could not be created" }, [
    markup`<p>All rows have been copied. Fix the causes below and run the same command again: it creates only the missing objects.</p>`,
    databases.map((database): Content => {
      const objects = listed(database);
      if (objects.length === 0) return undefined;
      return markup`\n<h3>${name(database.target)}</h3>\n<ul class="warnings">\n${
        objects.map(item)
      }</ul>`;
    }),
  ]);
}

function listed({ setAside = [] }: ReportView["databases"][number]): readonly SetAsideView[] {
  return setAside.filter(({ attribute }) => attribute === undefined);
}

function item({ object, statement, reason, remedy }: SetAsideView): Markup {
  return markup`<li>${name(object)}: ${lines(redact(reason))}<div class="objects"><code>${
    redact(statement)
  }</code></div><div class="remedy"><b>What to do:</b> ${lines(redact(remedy))}</div></li>\n`;
}
