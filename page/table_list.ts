/// <reference lib="dom" />
import { formatBytes, formatCount, formatDuration, plural } from "../lib/core/quantities.ts";
import { fill, make, name, setAttribute, setText } from "./dom.ts";
import type { Progress, TableState } from "./progress.ts";
import { Bar, percent } from "./words.ts";

const rowHeight = 34;
/** Extra rows above and below the visible ones, so that scrolling shows no gaps. */
const overscan = 8;

/**
 * The tables of a job, those being copied first. Only visible rows are in the document, so that
 * thousands of tables stay fast.
 */
export class TableList {
  readonly element: HTMLElement;
  readonly filter: HTMLInputElement;
  readonly #count = make("span", { class: "muted", role: "status" });
  readonly #space = make("div", { class: "space", role: "rowgroup" });
  readonly #scroller: HTMLElement;
  readonly #rows = new Map<string, TableRow>();
  readonly #empty = make("p", { class: "muted empty" }, "No table has been started yet.");
  #tables: readonly TableState[] = [];
  #progress: Progress;

  constructor(progress: Progress, signal: AbortSignal) {
    this.#progress = progress;
    this.filter = make("input", {
      type: "search",
      placeholder: "Filter tables",
      "aria-label": "Filter tables by name",
      spellcheck: "false",
      on: { input: () => this.update() },
    });
    this.#scroller = make(
      "div",
      {
        class: "table",
        role: "table",
        "aria-label": "Tables",
        tabindex: 0,
        on: { scroll: () => this.#draw() },
      },
      make(
        "div",
        { role: "rowgroup", class: "head" },
        make(
          "div",
          { class: "row", role: "row", "aria-rowindex": 1 },
          ...["Table", "Progress", "Size", "Rows", "Time"].map((text) =>
            make("span", { role: "columnheader" }, text)
          ),
        ),
      ),
      this.#space,
    );
    this.element = make(
      "section",
      { class: "card tables", "aria-labelledby": "tables-title" },
      make(
        "div",
        { class: "card-head" },
        make("h2", { id: "tables-title" }, "Tables"),
        this.#count,
        this.filter,
      ),
      this.#scroller,
      this.#empty,
    );
    const sizes = new ResizeObserver(() => this.#draw());
    sizes.observe(this.#scroller);
    signal.addEventListener("abort", () => sizes.disconnect(), { once: true });
  }

  /** Shows the current progress. */
  update(): void {
    const text = this.filter.value.trim().toLowerCase();
    const running: TableState[] = [];
    const rest: TableState[] = [];
    for (const table of this.#progress.tables.values()) {
      if (text !== "" && !`${table.database}.${table.table}`.toLowerCase().includes(text)) {
        continue;
      }
      (table.state === "done" ? rest : running).push(table);
    }
    this.#tables = [...running, ...rest.reverse()];
    const { finishedTables, plannedTables, tables } = this.#progress;
    const done = plannedTables === 0
      ? `${plural(finishedTables, "table")} done`
      : `${formatCount(Math.min(finishedTables, plannedTables))} of ${
        plural(plannedTables, "table")
      } done`;
    setText(
      this.#count,
      text === ""
        ? done
        : `${formatCount(this.#tables.length)} of ${formatCount(tables.size)} shown`,
    );
    this.#empty.hidden = this.#tables.length > 0;
    setText(
      this.#empty,
      text === "" ? "No table has been started yet." : "No table matches the filter.",
    );
    this.#scroller.hidden = this.#tables.length === 0;
    setAttribute(this.#scroller, "aria-rowcount", String(this.#tables.length + 1));
    this.#space.style.height = `${this.#tables.length * rowHeight}px`;
    this.#draw();
  }

  #draw(): void {
    const { scrollTop, clientHeight } = this.#scroller;
    const first = Math.max(0, Math.floor(scrollTop / rowHeight) - overscan);
    const last = Math.min(
      this.#tables.length,
      Math.ceil((scrollTop + clientHeight) / rowHeight) + overscan,
    );
    const seen = new Set<string>();
    for (let index = first; index < last; index++) {
      const table = this.#tables[index]!;
      seen.add(table.key);
      let row = this.#rows.get(table.key);
      if (row === undefined) {
        this.#rows.set(table.key, row = new TableRow(table));
        this.#space.append(row.element);
      }
      row.update(table, index, this.#progress.tableFraction(table));
    }
    for (const [key, row] of this.#rows) {
      if (seen.has(key)) continue;
      row.element.remove();
      this.#rows.delete(key);
    }
  }
}

class TableRow {
  readonly element: HTMLElement;
  readonly #bar: Bar;
  readonly #percent = make("span", { class: "percent" });
  readonly #cells = [0, 1, 2].map(() => make("span", { role: "cell", class: "number" }));
  #shown: TableState | undefined;
  #index = -1;

  constructor({ database, table }: TableState) {
    this.#bar = new Bar(`Progress of ${table}`);
    this.element = make(
      "div",
      { class: "row", role: "row" },
      make("span", { role: "cell", class: "table-name" }, name(database, "database"), name(table)),
      make("span", { role: "cell", class: "progress" }, this.#bar.element, this.#percent),
      ...this.#cells,
    );
  }

  update(table: TableState, index: number, fraction: number): void {
    if (index !== this.#index) {
      this.#index = index;
      this.element.style.transform = `translateY(${index * rowHeight}px)`;
      setAttribute(this.element, "aria-rowindex", String(index + 2));
    }
    if (table === this.#shown && table.state === "done") return;
    this.#shown = table;
    setAttribute(this.element, "data-state", table.state);
    this.#bar.set(fraction, table.state === "done" ? "succeeded" : "running");
    setText(
      this.#percent,
      table.state === "done" ? "done" : table.state === "waiting" ? "retrying" : percent(fraction),
    );
    const [size, rows, time] = this.#cells;
    fill(size!, formatBytes(table.state === "done" ? table.bytes : table.plannedBytes));
    fill(rows!, table.rows === undefined ? "" : formatCount(table.rows));
    fill(time!, table.ms === undefined ? "" : formatDuration(table.ms));
  }
}
