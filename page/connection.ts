/// <reference lib="dom" />
import { announce, clock, fill, make } from "./dom.ts";

/** A banner shown while the service is unavailable. */
export class Connection {
  readonly element: HTMLElement = make("div", { class: "banner", hidden: true, role: "status" });
  #since: number | undefined;

  /** Undefined while the service is available. */
  get lostSince(): number | undefined {
    return this.#since;
  }

  readonly reached = (reached: boolean): void => {
    if (reached === (this.#since === undefined)) return;
    this.#since = reached ? undefined : Date.now();
    this.element.hidden = reached;
    if (reached) {
      announce("The service is available again.");
      return;
    }
    fill(
      this.element,
      make("strong", {}, "The service is not responding"),
      ` since ${clock.format(this.#since)}. Reconnecting; jobs continue without this page. `,
      "The page may be out of date.",
    );
  };
}

/** Waits before a retry, longer each time, up to about 10 s. Throws if aborted. */
export async function backOff(attempt: number, signal: AbortSignal): Promise<void> {
  const ms = Math.min(10_000, 500 * 2 ** attempt) * (0.75 + Math.random() / 2);
  await wait(ms, signal);
}

/** Waits. Throws the signal's reason if it is aborted. */
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
