import { displayWidth } from "./display_width.ts";
import { padEnd, padStart, truncate, wrap } from "./text.ts";
import { makeStyle } from "./style.ts";

/** A column of {@linkcode renderTable}. */
export interface TextColumn {
  readonly title: string;
  /** Default: left. */
  readonly align?: "left" | "right";
  /**
   * What to do when the terminal is too narrow: `keep` never shortens, `wrap` uses more lines,
   * `cut` truncates with `…`. Default: keep.
   */
  readonly narrow?: "keep" | "wrap" | "cut";
}

/** One row: a text per column, optionally colored. */
export type TableRow = readonly string[];

/** Options of {@linkcode renderTable}. */
export interface TableOptions {
  /** Maximum width; `Infinity` for a file. */
  readonly columns: number;
  readonly color: boolean;
}

const gap = 2;
/** Columns do not shrink below this, even if the terminal then wraps the line. */
const minWidth = 12;

/** Aligned columns with titles, one string per line. */
export function renderTable(
  columns: readonly TextColumn[],
  rows: readonly TableRow[],
  options: TableOptions,
): string[] {
  const style = makeStyle(options.color);
  const widths = fitWidths(columns, rows, options.columns);
  const line = (cells: readonly string[]) =>
    cells.map((cell, index) => {
      const width = widths[index] ?? 0;
      if (columns[index]?.align === "right") return padStart(cell, width);
      return index === columns.length - 1 ? cell : padEnd(cell, width);
    }).join(" ".repeat(gap)).trimEnd();

  const lines = columns.some(({ title }) => title !== "")
    ? [style.bold(line(columns.map(({ title }) => title)))]
    : [];
  for (const row of rows) {
    const cells = columns.map((column, index) =>
      fitCell(row[index] ?? "", widths[index] ?? 0, column.narrow ?? "keep")
    );
    const height = Math.max(...cells.map((cell) => cell.length));
    for (let at = 0; at < height; at++) lines.push(line(cells.map((cell) => cell[at] ?? "")));
  }
  return lines;
}

function fitCell(text: string, width: number, narrow: "keep" | "wrap" | "cut"): string[] {
  if (narrow === "wrap") return wrap(text, width);
  return [narrow === "cut" ? truncate(text, width) : text];
}

/**
 * Natural widths, reduced one column at a time from the widest of those that may shrink.
 */
function fitWidths(
  columns: readonly TextColumn[],
  rows: readonly TableRow[],
  available: number,
): number[] {
  const widths = columns.map(({ title }, index) =>
    Math.max(displayWidth(title), ...rows.map((row) => displayWidth(row[index] ?? "")))
  );
  let excess = widths.reduce((sum, width) => sum + width, gap * (widths.length - 1)) - available;
  const shrinking = [...columns.keys()].filter((index) =>
    (columns[index]?.narrow ?? "keep") !== "keep"
  );
  for (; excess > 0; excess--) {
    const widest = shrinking
      .filter((index) => (widths[index] ?? 0) > minWidth)
      .reduce((a, b) => (widths[b] ?? 0) > (widths[a] ?? 0) ? b : a, -1);
    if (widest < 0) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return widths;
}
