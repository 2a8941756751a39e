/// <reference lib="dom" />
import { formatDuration } from "../lib/core/quantities.ts";
import type { JobWithResult } from "./api.ts";
import { fill, make } from "./dom.ts";
import { sentence } from "./sign_in.ts";
import { reasonWithoutError } from "./words.ts";

/** How a job ended: what went wrong and what to do, or its report. */
export class Outcome {
  readonly element: HTMLElement = make("div", { class: "outcome" });
  readonly #notice = make("div", {});
  readonly #result = make("div", {});
  #shown = "";

  constructor() {
    fill(this.element, this.#notice, this.#result);
  }

  /** Shows an error message. */
  say(text: string): void {
    fill(this.#notice, make("div", { class: "notice bad", role: "alert" }, make("p", {}, text)));
    this.#shown = "";
  }

  show(job: JobWithResult): void {
    const key = `${job.state} ${job.attempt} ${job.cancel_requested_at ?? ""}`;
    if (key === this.#shown) return;
    this.#shown = key;
    fill(this.#notice, notice(job));
    fill(this.#result, job.result !== null && report(job.result));
  }
}

function notice(job: JobWithResult): HTMLElement | undefined {
  const { state, error } = job;
  if (state === "running" || state === "queued") {
    return job.attempt > 1 && state === "running"
      ? box("info", `Attempt ${job.attempt}`, "The job was resumed by another worker.")
      : undefined;
  }
  if (state === "succeeded") return undefined;
  if (state === "cancelled") {
    return box("info", "Cancelled", sentence(error?.message ?? "the job was cancelled"));
  }
  const title = state === "timed_out" && job.timeout_seconds !== null
    ? `Stopped at its time limit of ${formatDuration(job.timeout_seconds * 1000)}`
    : "Failed";
  const reason = error?.message ?? reasonWithoutError(job) ?? "the worker gave no reason";
  const element = box("bad", title, sentence(reason));
  if (error === null) return element;
  const where = [error.side, error.object].filter((part) => part !== null);
  if (where.length > 0) {
    element.append(make("p", { class: "where" }, make("bdi", {}, where.join(": "))));
  }
  if (error.details.length > 0) {
    element.append(make("ul", {}, ...items(error.details)));
  }
  if (error.remedy !== null) {
    element.append(
      make("p", { class: "remedy" }, make("strong", {}, "What to do: "), sentence(error.remedy)),
    );
  }
  return element;
}

/** One item per line; indented lines belong to the preceding item. */
function items(lines: readonly string[]): HTMLElement[] {
  const found: HTMLElement[] = [];
  for (const line of lines) {
    const before = found.at(-1);
    if (before !== undefined && /^\s/.test(line)) before.append(make("div", {}, line.trim()));
    else found.push(make("li", {}, line));
  }
  return found;
}

function box(kind: "bad" | "info", title: string, text: string): HTMLElement {
  return make(
    "div",
    { class: `notice ${kind}` },
    make("h2", {}, title),
    make("p", { class: "message" }, text),
  );
}

function report(result: unknown): HTMLElement {
  return make(
    "details",
    { class: "card report" },
    make("summary", {}, "Report"),
    make("pre", { tabindex: 0, "aria-label": "Report as JSON" }, JSON.stringify(result, null, 2)),
  );
}
