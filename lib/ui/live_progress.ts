import { describeRetry, formatCount, type RunEvent } from "../core/internal.ts";
import { LiveRegion, type LiveTerminal } from "./live_region.ts";
import { initialProgress, type ProgressState, reduce } from "./progress_state.ts";
import { render } from "./progress_view.ts";
import { makeStyle } from "./style.ts";
import { fitLines, printable } from "./text.ts";

/** Displays the events of a run until disposed. */
export interface ProgressDisplay extends Disposable {
  readonly take: (event: RunEvent) => void;
  /** Prints a permanent line. */
  readonly print: (line: string) => void;
  /** Clears the display, for example for a prompt, until the next event. */
  readonly pause: () => void;
}

/** Options of {@linkcode LiveProgress}. */
export interface LiveProgressOptions {
  readonly terminal: LiveTerminal;
  readonly color: boolean;
  /** A monotonic clock, in milliseconds. */
  readonly now: () => number;
}

const redrawEveryMs = 100;

/**
 * Progress drawn in place, ten times per second regardless of events.
 *
 * States: waiting (until the first event) → drawing ⇄ paused → disposed, which clears the display
 * and restores the cursor.
 */
export class LiveProgress implements ProgressDisplay {
  readonly #region: LiveRegion;
  readonly #options: LiveProgressOptions;
  #state: ProgressState;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(options: LiveProgressOptions) {
    this.#options = options;
    this.#region = new LiveRegion(options.terminal);
    this.#state = initialProgress(options.now());
  }

  readonly take = (event: RunEvent): void => {
    const { color, now } = this.#options;
    this.#state = reduce(this.#state, event, now());
    const style = makeStyle(color);
    const remedy = (text: string | undefined) =>
      text === undefined ? [] : [style.dim(`  → ${printable(text)}`)];
    if (event.kind === "warning") {
      const where = [event.side, event.object].filter((part) => part !== undefined).join(", ");
      this.#printFitted([
        style.yellow("! ") + printable(where === "" ? event.message : `${where}: ${event.message}`),
        ...remedy(event.remedy),
      ]);
    } else if (event.kind === "retry") {
      const seconds = formatCount(event.delayMs / 1000);
      this.#printFitted([
        style.yellow("↻ ") + printable(`${describeRetry(event)}; retrying in ${seconds} s`),
      ]);
    } else if (event.kind === "info") {
      this.#printFitted([printable(event.message), ...remedy(event.remedy)]);
    }
    if (this.#timer !== undefined) return;
    this.#timer = setInterval(() => this.#draw(), redrawEveryMs);
    this.#draw();
  };

  readonly print = (line: string): void => {
    this.#region.print(`${line}\n`);
    if (this.#timer !== undefined) this.#draw();
  };

  /** Lines that are broken at spaces, not by the terminal. */
  #printFitted(lines: readonly string[]): void {
    const { columns } = this.#options.terminal.size();
    for (const line of fitLines(lines, { columns })) this.print(line);
  }

  readonly pause = (): void => {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#region.clear();
  };

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#region[Symbol.dispose]();
  }

  #draw(): void {
    const { terminal, color, now } = this.#options;
    const { columns, rows } = terminal.size();
    this.#region.draw(render(this.#state, { columns: columns - 1, rows, color, nowMs: now() }));
  }
}
