/// <reference lib="dom" />
import type { JobView } from "../lib/remote/api/views.ts";
import { formatDuration } from "../lib/core/quantities.ts";
import { make, name, setAttribute } from "./dom.ts";

/** The states of a job, in words. */
export const stateWords: Readonly<Record<JobView["state"], string>> = {
  queued: "Queued",
  running: "Running",
  succeeded: "Succeeded",
  failed: "Failed",
  cancelled: "Cancelled",
  timed_out: "Timed out",
};

/** Whether a job is over. */
export function isOver({ state }: Pick<JobView, "state">): boolean {
  return state !== "queued" && state !== "running";
}

/** What to call a job's state: one that was asked to end is ending. */
export function stateOf(job: Pick<JobView, "state" | "cancel_requested_at">): string {
  return !isOver(job) && job.cancel_requested_at !== null ? "Cancelling" : stateWords[job.state];
}

/** The beginning of an id: enough to tell jobs apart. */
export function shortId(id: string): string {
  return id.slice(0, 8);
}

/** `db.example.com:5432/shop` of `postgresql://u@db.example.com:5432/shop`. */
export function endpointName(url: string): string {
  const place = url.replace(/^[a-z]+:\/\//i, "").replace(/^[^@/]*@/, "");
  try {
    return decodeURIComponent(place);
  } catch {
    return place; // a lone % is legal in what the service made of it
  }
}

/** From where to where. */
export function route({ spec }: Pick<JobView, "spec">): HTMLElement {
  return make(
    "span",
    { class: "route" },
    name(endpointName(spec.source)),
    make("span", { class: "arrow", role: "img", "aria-label": "to" }, "→"),
    name(endpointName(spec.target)),
  );
}

/** How long a job took, or takes; empty while it waits. */
export function runningTime(job: JobView, now: number): string {
  if (job.started_at === null) return "";
  const end = job.finished_at === null ? now : Date.parse(job.finished_at);
  const ms = Math.max(0, end - Date.parse(job.started_at));
  return job.finished_at === null ? wholeSeconds(ms) : formatDuration(ms);
}

/** A time that is still going on: `54 s`, without the part that would flicker. */
export function wholeSeconds(ms: number): string {
  return ms < 1000 ? "0 s" : formatDuration(Math.floor(ms / 1000) * 1000).replace(/\.0 s$/, " s");
}

/**
 * How much of a job's rows is over, from 0 to 1, by what the list knows; undefined while nothing is
 * planned.
 */
export function listFraction({ progress, state }: JobView): number | undefined {
  if (state === "succeeded") return 1;
  if (progress === null || progress.tables === 0) return undefined;
  const byTables = progress.tables_finished / progress.tables;
  if (byTables >= 1 || progress.planned_bytes === 0) return Math.min(1, byTables);
  return Math.min(0.99, progress.bytes / progress.planned_bytes);
}

/** `62%`, and never 100 before the end. */
export function percent(fraction: number): string {
  return `${fraction >= 1 ? 100 : Math.min(99, Math.floor(fraction * 100))}%`;
}

/** A bar that shows a part of a whole. */
export class Bar {
  readonly #fill = make("span", { class: "fill" });
  readonly element: HTMLElement;

  constructor(label: string) {
    this.element = make(
      "span",
      {
        class: "bar",
        role: "progressbar",
        "aria-label": label,
        "aria-valuemin": 0,
        "aria-valuemax": 100,
      },
      this.#fill,
    );
  }

  /** Undefined: nobody knows yet. */
  set(fraction: number | undefined, state?: string): void {
    const value = fraction === undefined ? undefined : Math.floor(fraction * 100);
    setAttribute(this.element, "aria-valuenow", value === undefined ? undefined : String(value));
    setAttribute(this.element, "data-state", state);
    this.#fill.style.transform = `scaleX(${fraction ?? 0})`;
  }
}
