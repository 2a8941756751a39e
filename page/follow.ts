/// <reference lib="dom" />
import { type EventMessage, readEventMessages } from "../lib/remote/client/event_messages.ts";
import { type Api, Refusal } from "./api.ts";
import { backOff, wait } from "./connection.ts";

/** What a stream of a job brings, besides its end. */
export type JobMessage = Extract<EventMessage, { readonly kind: "state" | "run" }>;

/**
 * Follows a job to its end, whatever happens to the connection: goes on after the last event that
 * came. `EventSource` cannot send a key in a header, so the stream is read by `fetch`.
 *
 * @returns when the job is over, or the signal is aborted
 * @throws Refusal when the service says no for good
 */
export async function followJob(
  { api, id, signal, onMessage, onConnected }: {
    readonly api: Api;
    readonly id: string;
    readonly signal: AbortSignal;
    readonly onMessage: (message: JobMessage) => void;
    /** Called each time the stream is there. */
    readonly onConnected: () => void;
  },
): Promise<void> {
  let after = 0;
  let failures = 0;
  while (!signal.aborted) {
    try {
      const response = await api.events(id, after, signal);
      onConnected();
      for await (const message of readEventMessages(response)) {
        failures = 0;
        if (message.kind === "end") return;
        after = message.number ?? after;
        onMessage(message);
      }
      // the service ends a stream after a while; it is opened again at once, but not in a circle
      await wait(200, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refusal && error.status !== 429) throw error;
      const pause = error instanceof Refusal ? error.retryAfterMs : undefined;
      await (pause === undefined ? backOff(failures++, signal) : wait(pause, signal))
        .catch(() => {}); // the loop's condition tells
    }
  }
}
