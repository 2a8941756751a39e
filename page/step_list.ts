/// <reference lib="dom" />
import { formatCount, formatDuration } from "../lib/core/quantities.ts";
import { fill, make, setAttribute, setText } from "./dom.ts";
import type { Progress, StepView } from "./progress.ts";
import { wholeSeconds } from "./words.ts";
import { stepTitle } from "../lib/core/step_titles.ts";

/** The steps of a run, in the order they started. */
export class StepList {
  readonly element: HTMLElement = make("ol", { class: "steps", "aria-label": "Steps" });
  readonly #items = new Map<string, StepItem>();

  update(
    progress: Progress,
    { over, now }: { readonly over: boolean; readonly now: number },
  ): void {
    for (const [key, step] of progress.steps) {
      let item = this.#items.get(key);
      if (item === undefined) {
        this.#items.set(key, item = new StepItem());
        this.element.append(item.element);
      }
      item.update(step, { over, now });
    }
    for (const [key, item] of this.#items) {
      if (progress.steps.has(key)) continue;
      item.element.remove();
      this.#items.delete(key);
    }
    this.element.hidden = this.#items.size === 0;
  }
}

class StepItem {
  readonly #label = make("span", { class: "step-name" });
  readonly #detail = make("span", { class: "step-detail" });
  readonly #time = make("span", { class: "step-time" });
  readonly element: HTMLElement = make("li", {}, this.#label, this.#detail, this.#time);

  update(step: StepView, { over, now }: { readonly over: boolean; readonly now: number }): void {
    const ended = step.hasFailed ? "failed" : "done";
    const state = step.ms !== undefined ? ended : over ? "stopped" : "running";
    setAttribute(this.element, "data-state", state);
    const word = stepTitle(step.step);
    if (this.#label.childElementCount + this.#label.childNodes.length === 0) {
      fill(
        this.#label,
        word,
        step.database !== undefined && make("bdi", { class: "muted" }, ` ${step.database}`),
      );
    }
    setText(this.#detail, detailOf(step));
    const time = step.ms === undefined
      ? wholeSeconds(now - step.startedAt)
      : formatDuration(step.ms);
    setText(this.#time, state === "stopped" ? "stopped" : time);
  }
}

function detailOf({ ms, hasFailed, summary, done, total, current }: StepView): string {
  if (ms !== undefined) return summary ?? (hasFailed ? "failed" : "");
  const counted = total === undefined ? "" : `${formatCount(done ?? 0)} of ${formatCount(total)}`;
  return [counted, current].filter((part) => part !== undefined && part !== "").join(" · ");
}
