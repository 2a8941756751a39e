/// <reference lib="dom" />
import { type EventMessage, readEventMessages } from "../lib/remote/client/event_messages.ts";
import { type Api, Refusal } from "./api.ts";
import { backOff, wait } from "./connection.ts";

/** A message of a job's stream, except for its end. */
export type JobMessage = Extract<EventMessage, { readonly kind: "state" | "run" }>;

/**
 * Follows a job to its end; if the connection breaks, reconnects and resumes after the last event.
 * Uses `fetch`, because `EventSource` cannot send the key in a header.
 *
 * @returns when the job has ended, or the signal is aborted
 * @throws Refusal if the service permanently rejects the request
 */
export async function followJob(
  { api, id, signal, onMessage, onConnected }: {
    readonly api: Api;
    readonly id: string;
    readonly signal: AbortSignal;
    readonly onMessage: (message: JobMessage) => void;
    /** Called each time the stream is connected. */
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
      // the service closes streams after a while; avoids a busy loop when reconnecting
      await wait(200, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refusal && error.status !== 429) throw error;
      const pause = error instanceof Refusal ? error.retryAfterMs : undefined;
      await (pause === undefined ? backOff(failures++, signal) : wait(pause, signal))
        .catch(() => {}); // an abort ends the loop
    }
  }
}
