/// <reference lib="dom" />
import { formatBytes, formatCount, formatDuration, plural } from "../lib/core/quantities.ts";
import { cancelText } from "../lib/remote/spec/cancel_text.ts";
import { type JobWithResult, Refusal } from "./api.ts";
import { Chart } from "./chart.ts";
import { backOff } from "./connection.ts";
import { announce, fill, make, moment, name, setAttribute, setText } from "./dom.ts";
import { followJob } from "./follow.ts";
import { LogTail } from "./log_view.ts";
import { Outcome } from "./outcome.ts";
import { Progress } from "./progress.ts";
import { confirmDialog } from "./shortcuts.ts";
import { sentence } from "./sign_in.ts";
import { StepList } from "./step_list.ts";
import { TableList } from "./table_list.ts";
import type { View, ViewContext } from "./view.ts";
import {
  Bar,
  isOver,
  percent,
  route,
  runningTime,
  shortId,
  stateOf,
  wholeSeconds,
} from "./words.ts";

/** Redraw interval; events may arrive by the hundred. */
const drawEveryMs = 250;

/** A job: its progress, tables, throughput and log. */
export function jobView(context: ViewContext, { id }: { readonly id: string }): View {
  const page = new JobPage(context, id);
  void page.run();
  return {
    title: `Job ${shortId(id)}`,
    element: page.element,
    shortcuts: [
      { key: "c", label: "Cancel the job", run: () => void page.cancel() },
      { key: "f", label: "Follow the log, or stop", run: () => page.log.toggle() },
      { key: "/", label: "Filter tables", run: () => page.tables.filter.focus() },
      { key: "Escape", label: "Back to the jobs", run: () => location.assign("#/jobs") },
    ],
  };
}

class JobPage {
  readonly element: HTMLElement = make("article", {
    class: "job-page",
    "aria-labelledby": "title",
  });
  readonly log: LogTail;
  readonly tables: TableList;
  readonly #context: ViewContext;
  readonly #id: string;
  readonly #progress = new Progress();
  readonly #throughput: Chart;
  readonly #lag: Chart;
  readonly #steps = new StepList();
  readonly #outcome = new Outcome();
  readonly #bar = new Bar("Progress of the job");
  readonly #summary = make("p", { class: "summary" });
  readonly #heldBack = make("p", { class: "note", role: "status", hidden: true });
  readonly #overall = make(
    "section",
    { class: "card overall", "aria-label": "Progress" },
    this.#bar.element,
    this.#summary,
    this.#heldBack,
    this.#steps.element,
  );
  readonly #heading = make("div", { class: "heading" });
  readonly #badge = make("span", { class: "badge" });
  readonly #facts = make("dl", { class: "facts" });
  readonly #took = make("span");
  readonly #cancel: HTMLButtonElement;
  #job: JobWithResult | undefined;
  #drawing: number | undefined;

  constructor(context: ViewContext, id: string) {
    const { api, signal } = context;
    this.#context = context;
    this.#id = id;
    this.log = new LogTail({ api, id, signal });
    this.tables = new TableList(this.#progress, signal);
    this.#throughput = new Chart({
      title: "Throughput",
      empty: "Shown once rows are copied.",
      format: (value) => `${formatBytes(value)}/s`,
      signal,
    });
    this.#lag = new Chart({
      title: "Replication lag",
      empty: "Shown while a subscription catches up with its source.",
      format: formatBytes,
      signal,
    });
    this.#cancel = make("button", {
      class: "danger quiet",
      hidden: true,
      on: { click: () => void this.cancel() },
    }, "Cancel job");
    const clock = setInterval(() => this.#tick(), 1000);
    signal.addEventListener("abort", () => {
      clearInterval(clock);
      clearTimeout(this.#drawing);
    }, { once: true });
    fill(
      this.element,
      make("h1", { id: "title", tabindex: -1 }, `Job ${shortId(id)}`),
      make("p", { class: "muted", role: "status" }, "Loading…"),
    );
  }

  /** Shows the job and follows it to its end. */
  async run(): Promise<void> {
    const { api, signal } = this.#context;
    try {
      await this.#refreshUntilItWorks();
      this.#build();
      await this.log.load();
      await followJob({
        api,
        id: this.#id,
        signal,
        onConnected: () => void this.#refresh().catch(() => {}), // reported by the stream
        onMessage: (message) => {
          this.#progress.take(message);
          if (message.kind === "state") void this.#refresh().catch(() => {});
          this.#drawSoon();
        },
      });
      if (signal.aborted) return;
      await this.#refreshUntilItWorks();
      this.#draw();
    } catch (error) {
      if (!signal.aborted) this.#refused(error);
    }
  }

  /** Cancels the job, after confirmation. */
  async cancel(): Promise<void> {
    const job = this.#job;
    if (job === undefined || this.#cancel.hidden || this.#cancel.disabled) return;
    const sure = await confirmDialog({
      title: `Cancel ${job.command} ${shortId(job.id)}?`,
      text: cancelText(job),
      yes: "Cancel job",
      no: "Keep it",
    });
    if (!sure) return;
    try {
      await this.#context.api.cancel(job.id);
      announce("The job is being cancelled.");
      await this.#refresh();
    } catch (error) {
      this.#outcome.say(sentence(error instanceof Error ? error.message : String(error)));
    }
  }

  async #refreshUntilItWorks(): Promise<void> {
    for (let failures = 0;; failures++) {
      try {
        return await this.#refresh();
      } catch (error) {
        if (error instanceof Refusal && error.status !== 429) throw error;
        await backOff(failures, this.#context.signal);
      }
    }
  }

  async #refresh(): Promise<void> {
    const { api, signal } = this.#context;
    const before = this.#job;
    const job = await api.job(this.#id, signal);
    this.#job = job;
    this.#showJob(job);
    if (before !== undefined && stateOf(before) !== stateOf(job)) {
      announce(`Job state: ${stateOf(job)}`);
    }
  }

  #refused(error: unknown): void {
    const missing = error instanceof Refusal && error.status === 404;
    const text = error instanceof Error ? error.message : String(error);
    fill(
      this.element,
      make(
        "h1",
        { id: "title", tabindex: -1 },
        missing ? "Job not found" : "The job cannot be shown",
      ),
      make(
        "p",
        { role: "alert" },
        missing
          ? "It was deleted, the URL is wrong, or it belongs to another user. "
          : `${sentence(text)} `,
        make("a", { href: "#/jobs" }, "Back to the jobs"),
      ),
    );
  }

  #build(): void {
    const focused = document.activeElement?.id === "title";
    fill(
      this.element,
      make("a", { class: "back", href: "#/jobs" }, "← Jobs"),
      this.#heading,
      this.#facts,
      this.#outcome.element,
      this.#overall,
      make("div", { class: "charts" }, this.#throughput.element, this.#lag.element),
      this.tables.element,
      this.log.element,
    );
    if (focused) document.getElementById("title")?.focus({ preventScroll: true });
    this.#draw();
  }

  /** Created once, so that the focus is kept. */
  #head({ command, id }: JobWithResult): void {
    const title = make(
      "h1",
      { id: "title", tabindex: -1 },
      command,
      " ",
      make("code", { class: "id" }, shortId(id)),
    );
    fill(this.#heading, title, this.#badge, this.#cancel);
  }

  #showJob(job: JobWithResult): void {
    const owned = this.#context.me.scopes;
    const may = owned.includes("jobs:write") || owned.includes("admin");
    this.#cancel.hidden = isOver(job);
    this.#cancel.disabled = !may || job.cancel_requested_at !== null;
    this.#cancel.title = may ? "" : "This key lacks the scope jobs:write";
    if (this.#heading.childElementCount === 0) this.#head(job);
    setText(this.#badge, stateOf(job));
    setAttribute(this.#badge, "data-state", job.state);
    const fact = (label: string, ...values: readonly (Node | string)[]) =>
      make("div", {}, make("dt", {}, label), make("dd", {}, ...values));
    fill(
      this.#facts,
      make("div", { class: "wide" }, make("dt", {}, "From → to"), make("dd", {}, route(job))),
      fact("Time", this.#took),
      fact("Submitted", moment(job.created_at)),
      fact("Owner", name(job.owner)),
      fact("Worker", job.worker === null ? "none yet" : name(job.worker)),
      job.attempt > 1 && fact("Attempt", String(job.attempt)),
      fact(
        "Time limit",
        job.timeout_seconds === null ? "none" : formatDuration(job.timeout_seconds * 1000),
      ),
      job.exit_code !== null && fact("Exit code", String(job.exit_code)),
      fact("Trace", make("code", { title: job.trace_id }, job.trace_id.slice(0, 8))),
    );
    this.#outcome.show(job);
    this.#tick();
    this.#drawSoon();
  }

  #tick(): void {
    if (this.#job === undefined) return;
    const took = runningTime(this.#job, this.#context.api.now());
    setText(this.#took, took === "" ? "waiting for a worker" : took);
    if (this.#job.state === "running") this.#drawSoon();
  }

  #drawSoon(): void {
    if (this.#drawing !== undefined || this.#context.signal.aborted) return;
    this.#drawing = setTimeout(() => {
      this.#drawing = undefined;
      this.#draw();
      void this.log.load();
    }, drawEveryMs) as unknown as number; // Deno's types call it Timeout
  }

  #draw(): void {
    const job = this.#job;
    if (job === undefined) return;
    const progress = this.#progress;
    const over = isOver(job);
    const now = job.finished_at === null ? this.#context.api.now() : Date.parse(job.finished_at);
    const pace = over ? 0 : progress.pace(now);
    const fraction = job.state === "succeeded" ? 1 : progress.fraction;
    this.#bar.set(fraction, job.state);
    this.#bar.element.hidden = over && fraction === undefined;
    const summary = summaryOf(progress, { fraction, pace, over, job });
    setText(this.#summary, summary);
    this.#summary.hidden = summary === "";
    this.#heldBack.hidden = over || progress.heldBack === undefined;
    setText(this.#heldBack, progress.heldBack ?? "");
    this.#steps.update(progress, { over, now });
    this.tables.update();
    this.tables.element.hidden = progress.tables.size === 0 && progress.plannedTables === 0;
    // the latest events may not have arrived yet
    const speed = progress.throughput(over ? now : now - 1_500);
    this.#throughput.show(
      [{ name: "Rows copied", samples: speed }],
      over ? "" : `${formatBytes(pace)}/s`,
    );
    // hides charts that stay empty
    const replicates = (job.spec.options as { enable_sync?: unknown } | null)?.enable_sync === true;
    const copies = job.command === "init" && !over;
    this.#throughput.element.hidden = speed.at.length < 2 && !copies;
    this.#lag.element.hidden = progress.lag.size === 0 && !(copies && replicates);
    this.#overall.hidden = over && fraction === undefined && progress.steps.size === 0;
    const lags = [...progress.lag];
    const behind = lags.reduce((sum, [, points]) => sum + (points.at(-1)?.bytes ?? 0), 0);
    this.#lag.show(
      lags.map(([label, points]) => ({
        name: label,
        samples: {
          at: points.map(({ at }) => at / 1000),
          values: points.map(({ bytes }) => bytes),
        },
      })),
      lags.length === 0 ? "" : formatBytes(behind),
    );
  }
}

function summaryOf(
  progress: Progress,
  { fraction, pace, over, job }: {
    readonly fraction: number | undefined;
    readonly pace: number;
    readonly over: boolean;
    readonly job: JobWithResult;
  },
): string {
  if (job.state === "queued") return "Waiting for a worker.";
  const left = fraction === undefined || pace <= 0 || fraction >= 1 || fraction <= 0
    ? undefined
    : (progress.copiedBytes / fraction) * (1 - fraction) / pace * 1000;
  return [
    fraction === undefined ? "" : percent(fraction),
    progress.plannedTables === 0
      ? ""
      : `${formatCount(progress.finishedTables)} of ${formatCount(progress.plannedTables)} tables`,
    progress.finishedRows === 0 ? "" : `${formatCount(progress.finishedRows)} rows`,
    progress.copiedBytes === 0 ? "" : formatBytes(progress.copiedBytes),
    over || left === undefined ? "" : `about ${wholeSeconds(left)} left`,
    progress.warnings === 0 ? "" : plural(progress.warnings, "warning"),
  ].filter(Boolean).join(" · ");
}
