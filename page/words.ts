/// <reference lib="dom" />
import { ExitCode } from "../lib/core/exit_code.ts";
import type { JobView } from "../lib/remote/api/views.ts";
import { formatDuration } from "../lib/core/quantities.ts";
import { make, name, setAttribute } from "./dom.ts";

/** Labels of the job states. */
export const stateWords: Readonly<Record<JobView["state"], string>> = {
  queued: "Queued",
  running: "Running",
  succeeded: "Succeeded",
  failed: "Failed",
  cancelled: "Cancelled",
  timed_out: "Timed out",
};

/** Whether a job has ended. */
export function isOver({ state }: Pick<JobView, "state">): boolean {
  return state !== "queued" && state !== "running";
}

/** The label of a job's state; "Cancelling" while a cancellation is pending. */
export function stateOf(job: Pick<JobView, "state" | "cancel_requested_at">): string {
  return !isOver(job) && job.cancel_requested_at !== null ? "Cancelling" : stateWords[job.state];
}

/** Why a job has failed whose command ended with a report, not with an error. */
export function reasonWithoutError({ exit_code }: Pick<JobView, "exit_code">): string | undefined {
  switch (exit_code) {
    case ExitCode.mismatch:
      return "source and target differ; the report lists the differences";
    case ExitCode.notVerified:
      return "no difference was found, but not everything could be compared; the report says what";
    case ExitCode.unhealthy:
      return "replication is not healthy; the report lists the problems";
    case ExitCode.completeExcept:
      return "complete except for objects that the target refused; the report lists them";
    default:
      return undefined;
  }
}

/** The first characters of an id, which identify a job in practice. */
export function shortId(id: string): string {
  return id.slice(0, 8);
}

/** `db.example.com:5432/shop` of `postgresql://u@db.example.com:5432/shop`. */
function endpointName(url: string): string {
  const place = url.replace(/^[a-z]+:\/\//i, "").replace(/^[^@/]*@/, "");
  try {
    return decodeURIComponent(place);
  } catch {
    return place; // the service may return a literal %
  }
}

/** The source and target of a job. */
export function route({ spec }: Pick<JobView, "spec">): HTMLElement {
  return make(
    "span",
    { class: "route" },
    name(endpointName(spec.source)),
    make("span", { class: "arrow", role: "img", "aria-label": "to" }, "→"),
    name(endpointName(spec.target)),
  );
}

/** How long a job has been running or ran; empty while it is queued. */
export function runningTime(job: JobView, now: number): string {
  if (job.started_at === null) return "";
  const end = job.finished_at === null ? now : Date.parse(job.finished_at);
  const ms = Math.max(0, end - Date.parse(job.started_at));
  return job.finished_at === null ? wholeSeconds(ms) : formatDuration(ms);
}

/** A running duration in whole seconds, such as `54 s`, which does not flicker. */
export function wholeSeconds(ms: number): string {
  return ms < 1000 ? "0 s" : formatDuration(Math.floor(ms / 1000) * 1000).replace(/\.0 s$/, " s");
}

/**
 * The fraction of a job's rows copied, from 0 to 1, according to the job list; undefined until
 * tables are planned.
 */
export function listFraction({ progress, state }: JobView): number | undefined {
  if (state === "succeeded") return 1;
  if (progress === null || progress.tables === 0) return undefined;
  const byTables = progress.tables_finished / progress.tables;
  if (byTables >= 1 || progress.planned_bytes === 0) return Math.min(1, byTables);
  return Math.min(0.99, progress.bytes / progress.planned_bytes);
}

/** A percentage such as `62%`; 100% only at the end. */
export function percent(fraction: number): string {
  return `${fraction >= 1 ? 100 : Math.min(99, Math.floor(fraction * 100))}%`;
}

/** A progress bar. */
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

  /** Sets the fraction; undefined if unknown. */
  set(fraction: number | undefined, state?: string): void {
    const value = fraction === undefined ? undefined : Math.floor(fraction * 100);
    setAttribute(this.element, "aria-valuenow", value === undefined ? undefined : String(value));
    setAttribute(this.element, "data-state", state);
    this.#fill.style.transform = `scaleX(${fraction ?? 0})`;
  }
}
