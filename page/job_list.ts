/// <reference lib="dom" />
import type { JobView } from "../lib/remote/api/views.ts";
import { formatCount } from "../lib/core/quantities.ts";
import { stepTitle } from "../lib/core/step_titles.ts";
import { Refusal } from "./api.ts";
import { backOff, wait } from "./connection.ts";
import { announce, fill, make, moment, setAttribute, setText } from "./dom.ts";
import { sentence } from "./sign_in.ts";
import type { View, ViewContext } from "./view.ts";
import {
  Bar,
  listFraction,
  percent,
  reasonWithoutError,
  route,
  runningTime,
  shortId,
  stateOf,
  stateWords,
} from "./words.ts";

const pageSize = 50;
/** The API's limit; jobs further down are not refreshed. */
const maxRefreshed = 200;
const refreshMs = 2_000;

/** Jobs, newest first, refreshed while the page is visible. */
export function jobListView(
  { api, me, signal }: ViewContext,
  { state }: { readonly state: JobView["state"] | undefined },
): View {
  const rows = new Map<string, Row>();
  const showsOwner = me.scopes.includes("admin");
  const list = make("ul", { class: "jobs", "aria-label": "Jobs", hidden: true });
  const status = make("p", { class: "muted status", role: "status" }, "Loading…");
  const more = make("button", { hidden: true, on: { click: () => void loadMore() } }, "More jobs");
  let shown: readonly JobView[] = [];
  let complete = false;

  function show(jobs: readonly JobView[]): void {
    shown = jobs;
    const ids = new Set(jobs.map(({ id }) => id));
    for (const [id, row] of rows) {
      if (ids.has(id)) continue;
      row.element.remove();
      rows.delete(id);
    }
    jobs.forEach((job, index) => {
      let row = rows.get(job.id);
      if (row === undefined) rows.set(job.id, row = new Row(job, showsOwner));
      row.update(job, api.now());
      const current = list.children[index];
      if (current !== row.element) list.insertBefore(row.element, current ?? null);
    });
    list.hidden = jobs.length === 0;
    more.hidden = complete || jobs.length === 0;
    if (jobs.length > 0) fill(status);
    else showEmpty();
  }

  function showEmpty(): void {
    if (state !== undefined) {
      fill(
        status,
        `No job is ${stateWords[state].toLowerCase()}. `,
        make("a", { href: "#/jobs" }, "All jobs"),
      );
      return;
    }
    fill(
      status,
      make("strong", {}, "No jobs yet. "),
      "Start one from a terminal: ",
      make(
        "code",
        {},
        `postgres-seren-replicator init --remote ${location.origin} --source … --target …`,
      ),
    );
  }

  async function refresh(): Promise<void> {
    const limit = Math.min(maxRefreshed, Math.max(pageSize, shown.length));
    const fresh = await api.jobs({ state, limit, signal });
    const known = new Set(fresh.map(({ id }) => id));
    const rest = shown.length > limit ? shown.slice(limit).filter(({ id }) => !known.has(id)) : [];
    if (rest.length === 0) complete = fresh.length < limit;
    show([...fresh, ...rest]);
  }

  async function loadMore(): Promise<void> {
    more.disabled = true;
    try {
      const next = await api.jobs({ state, limit: pageSize, after: shown.at(-1)?.id, signal });
      complete = next.length < pageSize;
      const known = new Set(shown.map(({ id }) => id));
      show([...shown, ...next.filter(({ id }) => !known.has(id))]);
      announce(`${formatCount(shown.length)} jobs`);
    } catch (error) {
      if (error instanceof Refusal) setText(status, sentence(error.message));
    } finally {
      more.disabled = false;
    }
  }

  async function keepFresh(): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      try {
        if (document.visibilityState === "visible") await refresh();
        failures = 0;
        await wait(refreshMs, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof Refusal) setText(status, sentence(error.message));
        if (error instanceof Refusal && error.status === 403) return;
        await backOff(failures++, signal).catch(() => {}); // an abort ends the loop
      }
    }
  }

  /** Moves the focus to the next or previous job. */
  function step(by: 1 | -1): void {
    const links = [...list.querySelectorAll<HTMLElement>("a.job")];
    const at = links.indexOf(document.activeElement as HTMLElement);
    links[at < 0 ? 0 : Math.max(0, Math.min(links.length - 1, at + by))]?.focus();
  }

  void keepFresh();
  const filter = stateFilter(state);
  return {
    title: "Jobs",
    element: make(
      "section",
      { "aria-labelledby": "title" },
      make("div", { class: "heading" }, make("h1", { id: "title", tabindex: -1 }, "Jobs"), filter),
      list,
      status,
      more,
    ),
    shortcuts: [
      { key: "j", label: "Next job", run: () => step(1) },
      { key: "k", label: "Previous job", run: () => step(-1) },
      {
        key: "/",
        label: "Filter by state",
        run: () => filter.querySelector<HTMLElement>("[aria-current]")?.focus(),
      },
    ],
  };
}

function stateFilter(state: JobView["state"] | undefined): HTMLElement {
  const link = (label: string, value: string | undefined) =>
    make("a", {
      href: value === undefined ? "#/jobs" : `#/jobs?state=${value}`,
      "aria-current": value === state ? "page" : undefined,
    }, label);
  return make(
    "nav",
    { class: "filter", "aria-label": "Jobs by state" },
    link("All", undefined),
    ...Object.entries(stateWords).map(([value, word]) => link(word, value)),
  );
}

/** A job in the list. Its elements are reused, to keep focus and selection. */
class Row {
  readonly element: HTMLElement;
  readonly #badge = make("span", { class: "badge" });
  readonly #bar = new Bar("Progress");
  readonly #progress = make("span", { class: "progress-text" });
  readonly #time = make("span", { class: "time" });
  #state = "";

  constructor(job: JobView, showsOwner: boolean) {
    this.element = make(
      "li",
      {},
      make(
        "a",
        { class: "job", href: `#/jobs/${job.id}` },
        this.#badge,
        make(
          "span",
          { class: "what" },
          make("strong", {}, job.command),
          make("code", { class: "id" }, shortId(job.id)),
          showsOwner && make("bdi", { class: "owner" }, job.owner),
        ),
        route(job),
        make("span", { class: "progress" }, this.#bar.element, this.#progress),
        make("span", { class: "when" }, moment(job.created_at), this.#time),
      ),
    );
  }

  update(job: JobView, now: number): void {
    const state = stateOf(job);
    if (state !== this.#state) {
      setText(this.#badge, state);
      setAttribute(this.#badge, "data-state", job.state);
      this.#state = state;
    }
    const fraction = listFraction(job);
    this.#bar.set(fraction, job.state);
    this.#bar.element.hidden = fraction === undefined;
    setText(this.#progress, progressText(job, fraction));
    setText(this.#time, runningTime(job, now));
  }
}

function progressText(job: JobView, fraction: number | undefined): string {
  const { progress, state, error } = job;
  if (state === "queued") return "waiting for a worker";
  if (error !== null && state !== "cancelled") return error.message;
  if (state === "failed") return reasonWithoutError(job) ?? "";
  if (progress === null || state !== "running") return "";
  const step = progress.step === null ? "" : stepTitle(progress.step);
  const tables = progress.tables === 0
    ? ""
    : `${formatCount(progress.tables_finished)} of ${formatCount(progress.tables)} tables`;
  return [fraction === undefined ? "" : percent(fraction), step, tables].filter(Boolean)
    .join(" · ");
}
