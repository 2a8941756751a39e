import { displayWidth, truncate } from "./text.ts";

/** The terminal as the region needs it. */
export interface LiveTerminal {
  readonly write: (text: string) => void;
  /** The size now; it may change between calls. */
  readonly size: () => { readonly columns: number; readonly rows: number };
}

const hideCursor = "\x1b[?25l";
const showCursor = "\x1b[?25h";
const eraseBelow = "\x1b[J";

/**
 * The last lines of a terminal, drawn again and again in place, with lasting lines printed above
 * them.
 *
 * States: empty ⇄ drawn, by {@linkcode draw} and {@linkcode clear}; disposing clears and brings the
 * cursor back, and may be done twice. The cursor is hidden while drawn and stands at the start of
 * the line below the last one.
 */
export class LiveRegion implements Disposable {
  readonly #terminal: LiveTerminal;
  #drawn: readonly string[] = [];

  constructor(terminal: LiveTerminal) {
    this.#terminal = terminal;
  }

  /** Shows these lines in place of those shown before. */
  draw(lines: readonly string[]): void {
    const { columns, rows } = this.#terminal.size();
    // the last column stays free: some terminals break the line after it, others do not
    const fitting = lines.slice(-Math.max(1, rows - 1))
      .map((line) => truncate(line, Math.max(1, columns - 1)));
    const body = fitting.map((line) => `${line}\n`).join("");
    this.#terminal.write(`${this.#erasing()}${hideCursor}${body}`);
    this.#drawn = fitting;
  }

  /** Prints lines that stay, above the region; the next {@linkcode draw} brings the region back. */
  print(text: string): void {
    this.#terminal.write(`${this.#erasing()}${text}`);
    this.#drawn = [];
  }

  /** Takes the region away and shows the cursor. */
  clear(): void {
    if (this.#drawn.length === 0) return;
    this.#terminal.write(`${this.#erasing()}${showCursor}`);
    this.#drawn = [];
  }

  [Symbol.dispose](): void {
    this.#terminal.write(`${this.#erasing()}${showCursor}`);
    this.#drawn = [];
  }

  /**
   * Moves to the region's first line and erases. A window made narrower has broken our lines into
   * several.
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
