import { displayWidth } from "./display_width.ts";
import { truncate } from "./text.ts";

/** The terminal that a region is drawn on. */
export interface LiveTerminal {
  readonly write: (text: string) => void;
  /** The current size, which may change between calls. */
  readonly size: () => { readonly columns: number; readonly rows: number };
}

const hideCursor = "\x1b[?25l";
const showCursor = "\x1b[?25h";
const eraseBelow = "\x1b[J";
/** A terminal that knows synchronized updates shows what is between these at once. */
const beginUpdate = "\x1b[?2026h";
const endUpdate = "\x1b[?2026l";

/**
 * The bottom lines of a terminal, redrawn in place, with permanent lines printed above them.
 *
 * States: empty ⇄ drawn, by {@linkcode draw} and {@linkcode clear}. Disposing clears the region and
 * restores the cursor; it may be repeated. While drawn, the cursor is hidden and is at the start of
 * the line below the region.
 */
export class LiveRegion implements Disposable {
  readonly #terminal: LiveTerminal;
  #drawn: readonly string[] = [];
  #isCursorHidden = false;

  constructor(terminal: LiveTerminal) {
    this.#terminal = terminal;
  }

  /** Replaces the lines shown. */
  draw(lines: readonly string[]): void {
    const { columns, rows } = this.#terminal.size();
    // leave the last column free: some terminals wrap after it, others do not
    const fitting = lines.slice(-Math.max(1, rows - 1))
      .map((line) => truncate(line, Math.max(1, columns - 1)));
    const body = fitting.map((line) => `${line}\n`).join("");
    this.#terminal.write(`${beginUpdate}${this.#erasing()}${hideCursor}${body}${endUpdate}`);
    this.#drawn = fitting;
    this.#isCursorHidden = true;
  }

  /** Prints permanent lines above the region, which the next {@linkcode draw} restores. */
  print(text: string): void {
    this.#terminal.write(`${this.#erasing()}${text}`);
    this.#drawn = [];
  }

  /** Erases the region and shows the cursor; writes nothing if nothing has been drawn. */
  clear(): void {
    if (!this.#isCursorHidden) return;
    this.#terminal.write(`${this.#erasing()}${showCursor}`);
    this.#drawn = [];
    this.#isCursorHidden = false;
  }

  [Symbol.dispose](): void {
    this.clear();
  }

  /**
   * Moves to the region's first line and erases it. In a window that was made narrower, the lines
   * drawn have wrapped.
   */
  #erasing(): string {
    if (this.#drawn.length === 0) return "";
    const { columns, rows } = this.#terminal.size();
    const taken = this.#drawn.reduce(
      (sum, line) => sum + Math.max(1, Math.ceil(displayWidth(line) / Math.max(1, columns))),
      0,
    );
    const up = Math.min(taken, Math.max(1, rows - 1));
    return `\r\x1b[${up}A${eraseBelow}`;
  }
}
