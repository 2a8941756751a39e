/// <reference lib="dom" />
import { announce, clock, fill, make } from "./dom.ts";

/** Tells when the service does not answer, and since when; gone when it does again. */
export class Connection {
  readonly element: HTMLElement = make("div", { class: "banner", hidden: true, role: "status" });
  #since: number | undefined;

  /** Undefined while the service answers. */
  get lostSince(): number | undefined {
    return this.#since;
  }

  readonly reached = (reached: boolean): void => {
    if (reached === (this.#since === undefined)) return;
    this.#since = reached ? undefined : Date.now();
    this.element.hidden = reached;
    if (reached) {
      announce("The service answers again.");
      return;
    }
    fill(
      this.element,
      make("strong", {}, "The service does not answer"),
      ` since ${clock.format(this.#since)}. Trying again; jobs go on without this page. `,
      "What you see is from before.",
    );
  };
}

/** Waits before the next attempt: longer each time, never longer than 10 s. Throws when aborted. */
export async function backOff(attempt: number, signal: AbortSignal): Promise<void> {
  const ms = Math.min(10_000, 500 * 2 ** attempt) * (0.75 + Math.random() / 2);
  await wait(ms, signal);
}

/** Throws the signal's reason when it is aborted. */
export async function wait(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const end = () => reject(signal.reason);
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", end, { once: true });
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
  }
}
