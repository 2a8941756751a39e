/// <reference lib="dom" />
import { plural } from "../lib/core/quantities.ts";
import { type Api, type LogView, Refusal } from "./api.ts";
import { clock, make, setAttribute, setText } from "./dom.ts";
import { sentence } from "./sign_in.ts";

const batch = 500;
/** Maximum number of lines shown at once; earlier ones can be loaded. */
const maxLines = 3_000;

/** The tail of a job's log, which is followed until the user scrolls up. */
export class LogTail {
  readonly element: HTMLElement;
  readonly #lines: HTMLElement;
  readonly #follow: HTMLButtonElement;
  readonly #earlier: HTMLButtonElement;
  readonly #status = make("p", { class: "muted empty", role: "status" }, "Loading…");
  readonly #api: Api;
  readonly #id: string;
  readonly #signal: AbortSignal;
  #first = 0;
  #last: number | undefined;
  #following = true;
  #loading: Promise<void> | undefined;
  #again = false;

  constructor(
    { api, id, signal }: { readonly api: Api; readonly id: string; readonly signal: AbortSignal },
  ) {
    this.#api = api;
    this.#id = id;
    this.#signal = signal;
    this.#lines = make("div", {
      class: "lines",
      tabindex: 0,
      role: "log",
      "aria-live": "off",
      "aria-label": "Log",
      on: { scroll: () => this.#scrolled() },
    });
    this.#follow = make("button", {
      class: "small",
      "aria-pressed": "true",
      on: { click: () => this.toggle() },
    }, "Follow");
    this.#earlier = make("button", {
      class: "small",
      hidden: true,
      on: { click: () => void this.#loadEarlier() },
    }, "Earlier lines");
    this.element = make(
      "section",
      { class: "card log", "aria-labelledby": "log-title" },
      make(
        "div",
        { class: "card-head" },
        make("h2", { id: "log-title" }, "Log"),
        this.#earlier,
        this.#follow,
      ),
      this.#lines,
      this.#status,
    );
    this.#lines.hidden = true;
  }

  /** Starts or stops following. */
  toggle(): void {
    this.#setFollowing(!this.#following);
    if (this.#following) this.#toEnd();
  }

  /** Loads new lines, with one request at a time. */
  async load(): Promise<void> {
    if (this.#loading !== undefined) {
      this.#again = true;
      return await this.#loading;
    }
    this.#loading = this.#load().finally(() => this.#loading = undefined);
    await this.#loading;
    if (!this.#again) return;
    this.#again = false;
    await this.load();
  }

  async #load(): Promise<void> {
    try {
      while (true) {
        const lines = await this.#api.logs({
          id: this.#id,
          ...(this.#last === undefined
            ? { before: Number.MAX_SAFE_INTEGER }
            : { after: this.#last }),
          limit: batch,
          signal: this.#signal,
        });
        const tail = this.#last === undefined;
        const known = this.#last ?? (lines[0]?.number ?? 1) - 1;
        if (tail) this.#first = lines[0]?.number ?? 0;
        this.#last = lines.at(-1)?.number ?? this.#last ?? 0;
        this.#append(elementsOf(lines, known));
        if (tail || lines.length < batch) return;
      }
    } catch (error) {
      // the connection banner shows if the service is unavailable
      if (error instanceof Refusal) setText(this.#status, sentence(error.message));
    }
  }

  #append(lines: readonly HTMLElement[]): void {
    this.#lines.append(...lines);
    while (this.#lines.childElementCount > maxLines) {
      this.#lines.firstElementChild!.remove();
      this.#first = Number(this.#lines.firstElementChild!.getAttribute("data-number"));
    }
    this.#show();
    if (this.#following) this.#toEnd();
  }

  #show(): void {
    const some = this.#lines.childElementCount > 0;
    this.#lines.hidden = !some;
    this.#status.hidden = some;
    setText(this.#status, "No lines yet.");
    this.#earlier.hidden = !some || this.#first <= 1;
  }

  async #loadEarlier(): Promise<void> {
    this.#setFollowing(false);
    this.#earlier.disabled = true;
    try {
      const lines = await this.#api.logs({
        id: this.#id,
        before: this.#first,
        limit: batch,
        signal: this.#signal,
      });
      const height = this.#lines.scrollHeight;
      const [first, last] = [lines[0]?.number ?? 1, lines.at(-1)?.number ?? 0];
      this.#lines.prepend(...elementsOf(lines, first - 1), ...gap(last, this.#first));
      this.#first = lines.length === 0 ? 0 : first;
      // scrolls to where the new lines end
      this.#lines.scrollTop = this.#lines.scrollHeight - height - this.#lines.clientHeight / 2;
      this.#show();
    } catch (error) {
      if (error instanceof Refusal) setText(this.#earlier, "Earlier lines (retry)");
    } finally {
      this.#earlier.disabled = false;
    }
  }

  #toEnd(): void {
    this.#lines.scrollTop = this.#lines.scrollHeight;
  }

  #scrolled(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.#lines;
    this.#setFollowing(scrollHeight - clientHeight - scrollTop < 24);
  }

  #setFollowing(on: boolean): void {
    this.#following = on;
    setAttribute(this.#follow, "aria-pressed", String(on));
  }
}

/** Elements of the lines after a known one, with notes where lines are missing. */
function elementsOf(lines: readonly LogView[], known: number): readonly HTMLElement[] {
  return lines.flatMap((line, index) => [
    ...gap(lines[index - 1]?.number ?? known, line.number),
    lineElement(line),
  ]);
}

/** The service keeps only the first and last lines of a very long log. */
function gap(before: number, number: number): readonly HTMLElement[] {
  const missing = number - before - 1;
  if (missing <= 0) return [];
  const text = `${plural(missing, "line")} not retained`;
  return [make("div", { class: "line gap muted", "data-number": number }, text)];
}

function lineElement({ number, at, level, message }: LogView): HTMLElement {
  return make(
    "div",
    { class: "line", "data-level": level, "data-number": number },
    make("time", { datetime: at, title: new Date(at).toString() }, clock.format(Date.parse(at))),
    make("span", { class: "level" }, level === "info" ? "" : level),
    make("span", { class: "message" }, message),
  );
}
