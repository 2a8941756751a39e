import { formatCount, formatDuration } from "../../core/internal.ts";
import { type Markup, markup } from "../html_report/markup.ts";
import { serverEntry, tile } from "../html_report/summary_section.ts";
import type { CutoverView, SwitchView } from "./cutover_view.ts";

/** Tiles: how many sessions waited, and the failed attempts. */
export function waitingTiles(
  { databases, failedAttempts, failedAttemptsMs }:
    & Pick<SwitchView, "failedAttempts" | "failedAttemptsMs">
    & { readonly databases: readonly Pick<SwitchView["databases"][number], "waiting">[] },
  { withoutAttempts }: { readonly withoutAttempts: string },
): Markup {
  const waiting = Math.max(0, ...databases.map((each) => each.waiting.sessions));
  const longestWait = Math.max(0, ...databases.map((each) => each.waiting.longestMs));
  return markup`${
    tile({
      title: "Sessions that waited",
      value: formatCount(waiting),
      note: `the longest for ${formatDuration(longestWait)}`,
    })
  }
${
    tile({
      title: "Failed attempts",
      value: formatCount(failedAttempts),
      note: failedAttempts === 0
        ? withoutAttempts
        : `writers waited ${formatDuration(failedAttemptsMs)} in them`,
    })
  }`;
}

/** Both servers, and when it was. */
export function serversAndTime({ source, target, startedAt, finishedAt }: CutoverView): Markup {
  return markup`<dl class="servers">
${serverEntry("Source", source)}
${serverEntry("Target", target)}
<div><dt>When</dt><dd><strong><time datetime="${startedAt}">${
    momentOfSwitch(startedAt)
  }</time> to <time datetime="${finishedAt}">${
    momentOfSwitch(finishedAt)
  }</time> UTC</strong></dd></div>
</dl>`;
}

/** `2026-11-29 12:00:00.123` */
export function momentOfSwitch(iso: string): string {
  return iso.slice(0, 23).replace("T", " ").replace(/Z$/, "");
}
