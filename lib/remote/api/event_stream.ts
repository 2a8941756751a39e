import type { SessionPool } from "../../postgres/internal.ts";
import { isFinal } from "../spec/mod.ts";
import { findJob, type JobRow, readEvents } from "../store/mod.ts";
import type { EventHub } from "./event_hub.ts";

/** Interval between comments, which keep proxies from closing the stream. */
const keepAliveMs = 15_000;

/** A stream ends after this; the client reconnects and authenticates again. */
const maxStreamMs = 10 * 60_000;

const batch = 500;

/**
 * A job's events after `after` as server-sent events, until the job has ended. Event ids are the
 * events' numbers, so that clients can resume (`Last-Event-ID`). The last event is `end`. Slow
 * readers cause backpressure.
 *
 * Source: WHATWG HTML, "9.2 Server-sent events".
 */
export function eventStream(
  { pool, hub, job, after, onClose }: {
    readonly pool: SessionPool;
    readonly hub: EventHub;
    readonly job: JobRow;
    readonly after: number;
    /** Called once, when the stream has ended for any reason. */
    readonly onClose: () => void;
  },
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let subscription: Disposable | undefined;
  let changed = Promise.withResolvers<void>();
  let position = after;
  let cancelled = false;
  const startedAt = performance.now();

  /** The next data to send; undefined at the end. */
  async function next(): Promise<string | undefined> {
    while (!cancelled && !hub.signal.aborted) {
      const mine = changed;
      // reads the state before the events, so that no event of an ended job is missed
      const current = await pool.use((session) => findJob(session, job.id));
      const events = await pool.use((session) =>
        readEvents(session, [{ jobId: job.id, after: position }], batch)
      );
      if (events.length > 0) {
        position = events.at(-1)!.number;
        return events.map(({ number, at, event }) =>
          `id: ${number}\nevent: ${event.kind}\ndata: ${JSON.stringify({ at, ...event })}\n\n`
        ).join("");
      }
      if (current === undefined || isFinal(current.state)) {
        const data = { state: current?.state ?? null, exit_code: current?.exitCode ?? null };
        return `event: end\ndata: ${JSON.stringify(data)}\n\n`;
      }
      if (performance.now() - startedAt > maxStreamMs) return undefined;
      const alive = Promise.withResolvers<"alive">();
      const timer = setTimeout(() => alive.resolve("alive"), keepAliveMs);
      const what = await Promise.race([mine.promise, alive.promise]);
      clearTimeout(timer);
      if (what === "alive") return ": keep-alive\n\n";
    }
    return undefined;
  }

  const close = () => {
    if (cancelled) return;
    cancelled = true;
    onClose();
    subscription?.[Symbol.dispose]();
  };
  return new ReadableStream<Uint8Array>({
    start() {
      subscription = hub.subscribe(job.id, () => {
        changed.resolve();
        changed = Promise.withResolvers();
      });
    },
    async pull(controller) {
      try {
        const text = await next();
        if (text !== undefined) controller.enqueue(encoder.encode(text));
        if (text === undefined || text.startsWith("event: end\n")) {
          close();
          controller.close();
        }
      } catch (error) {
        close();
        controller.error(error);
      }
    },
    cancel() {
      close();
      changed.resolve();
    },
  }, { highWaterMark: 0 });
}
