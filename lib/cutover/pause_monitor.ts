/**
 * How long writers wait for a switch, while it lasts.
 *
 * @module
 */
import { addUp, type EventSink, pause } from "../core/internal.ts";
import type { DatabaseSwitch } from "./database_switch.ts";

const monitorMs = 100;

/** How long the end of the pause waits for a query of the monitor. */
const maxStopMs = 1_000;

/** What a {@linkcode PauseMonitor} takes besides the databases. */
export interface MonitorOptions {
  readonly events: EventSink;
  /** When the barrier was granted, on the clock of `performance.now()`. */
  readonly startedMs: number;
  readonly maxPauseMs: number;
}

/** Reports, while writers wait, how many of them do, and for how long. */
export class PauseMonitor implements AsyncDisposable {
  readonly #switches: readonly DatabaseSwitch[];
  readonly #options: MonitorOptions;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  readonly #waiting: { sessions: number; longestMs: number }[];

  constructor(switches: readonly DatabaseSwitch[], options: MonitorOptions) {
    this.#switches = switches;
    this.#options = options;
    this.#waiting = switches.map(() => ({ sessions: 0, longestMs: 0 }));
    this.#running = this.#run();
  }

  /** The most sessions of a database that waited at once, and the longest wait. */
  waiting(index: number): { readonly sessions: number; readonly longestMs: number } {
    return { ...this.#waiting[index]! };
  }

  /** Ends the reports with one that says so. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    // a connection that stalls must not hold up what follows the pause
    const limit = new AbortController();
    await Promise.race([this.#running, pause(maxStopMs, limit.signal).catch(() => {})]);
    limit.abort();
    const { events, startedMs, maxPauseMs } = this.#options;
    events({
      kind: "cutover-pause",
      pauseMs: performance.now() - startedMs,
      maxPauseMs,
      waiting: 0,
      longestWaitMs: 0,
      lagBytes: 0,
      isOver: true,
    });
  }

  async #run(): Promise<void> {
    const { events, startedMs, maxPauseMs } = this.#options;
    try {
      for (;;) {
        const now = await Promise.all(this.#switches.map((each) => each.waiters()));
        const lags = await Promise.all(this.#switches.map((each) => each.lagBytes()));
        now.forEach(({ sessions, longestMs }, index) => {
          const known = this.#waiting[index]!;
          known.sessions = Math.max(known.sessions, sessions);
          known.longestMs = Math.max(known.longestMs, longestMs);
        });
        this.#stop.signal.throwIfAborted();
        events({
          kind: "cutover-pause",
          pauseMs: performance.now() - startedMs,
          maxPauseMs,
          waiting: addUp(now.map(({ sessions }) => sessions)),
          longestWaitMs: Math.max(0, ...now.map(({ longestMs }) => longestMs)),
          lagBytes: Math.max(0, ...lags),
          isOver: false,
        });
        await pause(monitorMs, this.#stop.signal);
      }
    } catch {
      // stopped, or the session ended with the switch, which reports its own error
    }
  }
}
