/**
 * Sessions on a server that may be temporarily unavailable.
 *
 * @module
 */
import { type EventSink, retry, retryEvent, type RetryOptions } from "../../core/internal.ts";
import { describeEndpoint, type Endpoint } from "../connect/endpoint.ts";
import { openSession } from "./open_session.ts";
import type { Session, SessionOptions } from "./session.ts";

/** How a session is opened, and where retries are reported. */
export interface OpenSessionWithRetryOptions
  extends SessionOptions, Pick<RetryOptions, "delaysMs" | "isRetryable"> {
  readonly signal: AbortSignal;
  readonly events: EventSink;
}

/**
 * Opens a session, retrying transient failures with a retry event for each.
 *
 * Requires `--allow-net` for the host.
 *
 * @throws ConnectionError when the last attempt fails
 */
export function openSessionWithRetry(
  endpoint: Endpoint,
  { events, delaysMs, isRetryable, ...options }: OpenSessionWithRetryOptions,
): Promise<Session> {
  return retry(() => openSession(endpoint, options), {
    signal: options.signal,
    ...(delaysMs === undefined ? {} : { delaysMs }),
    ...(isRetryable === undefined ? {} : { isRetryable }),
    onRetry: (error, attempt, delayMs) =>
      events(retryEvent({
        what: `connecting to the ${endpoint.side} ${describeEndpoint(endpoint)}`,
        error,
        attempt,
        delayMs,
      })),
  });
}
