/**
 * One attempt to open a session: connection, login, first statement, within `connect_timeout`.
 *
 * @module
 */
import { connectTransport, type Encryption } from "../connect/connect_transport.ts";
import { Connection } from "../connect/connection.ts";
import type { Endpoint } from "../connect/endpoint.ts";
import { serverMessageOf } from "../connect/server_error.ts";
import { type Started, type StartOptions, startSession } from "../connect/start_session.ts";
import {
  asksWithoutEventTriggers,
  mayRefuseParameter,
  noteEventTriggers,
  startupParameters,
} from "../connect/startup_event_triggers.ts";
import type { Transport } from "../connect/transport.ts";
import type { HostPort } from "../connect/url.ts";
import type { ServerMessage } from "../protocol/server_message.ts";
import { SqlState } from "../protocol/sqlstate.ts";
import { beginSession, type OpenedSession } from "./begin_session.ts";
import type { Session, SessionOptions } from "./session.ts";

/** Where and how to open a session. */
export interface SessionAttempt {
  readonly place: HostPort;
  readonly encryption: Encryption;
  readonly options: SessionOptions;
  /** Opens another session on the same server, to query the state of this one. */
  readonly observe: (signal: AbortSignal) => Promise<Session>;
}

/**
 * Opens a session in which no event trigger fires, not even at login, where server and role allow
 * it.
 */
export async function attemptSession(
  endpoint: Endpoint,
  how: SessionAttempt,
): Promise<OpenedSession> {
  const { place } = how;
  if (asksWithoutEventTriggers(endpoint, place)) {
    const opened = await attemptInTime(endpoint, how, startupParameters);
    if (!(opened instanceof StartupRefusal)) {
      noteEventTriggers(endpoint, { place, accepted: opened.startedQuietly });
      return opened;
    }
    if (!mayRefuseParameter(opened.message)) throw opened.error;
  }
  const opened = await attemptInTime(endpoint, how, {});
  if (opened instanceof StartupRefusal) throw opened.error;
  noteEventTriggers(endpoint, { place, accepted: false });
  return opened;
}

/** Timeouts that may expire before a session has set them, by the SQLSTATE of their error. */
const timeouts: Readonly<Record<string, string>> = {
  [SqlState.queryCanceled]: "statement_timeout",
  [SqlState.lockNotAvailable]: "lock_timeout",
  [SqlState.transactionTimeout]: "transaction_timeout", // 17+
  [SqlState.idleSessionTimeout]: "idle_session_timeout", // 14+
};

/**
 * A timeout of the database or the role, of a millisecond for example, may end a session before its
 * first statement has disabled it: then the startup packet disables it. Not from the first attempt,
 * because poolers reject parameters that they do not know.
 */
async function attemptInTime(
  endpoint: Endpoint,
  how: SessionAttempt,
  parameters: Readonly<Record<string, string>>,
): Promise<OpenedSession | StartupRefusal> {
  for (let without: Readonly<Record<string, string>> = {};;) {
    const opened = await attempt(endpoint, how, { ...without, ...parameters })
      .catch((error: unknown) => error instanceof Error ? error : new Error(String(error)));
    if (!(opened instanceof StartupRefusal) && !(opened instanceof Error)) return opened;
    const message = opened instanceof Error ? serverMessageOf(opened) : opened.message;
    const timeout = timeouts[message?.sqlState ?? ""];
    const isOfRun = timeout === "lock_timeout" && endpoint.sharedLock !== undefined;
    if (timeout === undefined || timeout in without || isOfRun) {
      if (opened instanceof Error) throw opened;
      return opened;
    }
    without = { ...without, [timeout]: "0" };
  }
}

/** The server rejected the connection itself, not one of its statements. */
class StartupRefusal {
  constructor(readonly error: unknown, readonly message: ServerMessage) {}
}

async function attempt(
  endpoint: Endpoint,
  { place, encryption, options, observe }: SessionAttempt,
  parameters: Readonly<Record<string, string>>,
): Promise<OpenedSession | StartupRefusal> {
  using deadline = new ConnectDeadline(endpoint, options.signal);
  const { signal } = deadline;
  let connection: Connection | undefined;
  try {
    const transport = await connectTransport(place, { encryption, tls: endpoint.tls, signal });
    const started = await logIn(transport, {
      endpoint,
      place,
      parameters: { ...sessionParameters(endpoint, options), ...parameters },
      signal,
    });
    connection = new Connection(transport, started);
    return await beginSession(connection, { endpoint, place, options, observe, signal });
  } catch (error) {
    connection?.close();
    signal.throwIfAborted();
    const message = serverMessageOf(error);
    if (message !== undefined && connection === undefined) {
      return new StartupRefusal(error, message);
    }
    throw error;
  }
}

/** Aborts its signal after the endpoint's `connect_timeout`, or with the caller's. */
class ConnectDeadline implements Disposable {
  readonly signal: AbortSignal;
  readonly #timer: ReturnType<typeof setTimeout>;

  constructor({ connectTimeoutMs }: Endpoint, signal: AbortSignal | undefined) {
    const timeout = new AbortController();
    const seconds = Math.round(connectTimeoutMs / 1000);
    this.#timer = setTimeout(
      () => timeout.abort(new DOMException(`no answer within ${seconds} s`, "TimeoutError")),
      connectTimeoutMs,
    );
    this.signal = signal === undefined ? timeout.signal : AbortSignal.any([signal, timeout.signal]);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}

function sessionParameters(
  { applicationName, options }: Endpoint,
  { replication }: SessionOptions,
): Readonly<Record<string, string>> {
  return {
    application_name: applicationName,
    ...(options === undefined ? {} : { options }),
    ...(replication ? { replication: "database" } : {}),
  };
}

/**
 * Starts the session; closes the connection when that fails or the signal aborts.
 */
async function logIn(
  transport: Transport,
  { signal, ...options }: StartOptions & { readonly signal: AbortSignal },
): Promise<Started> {
  const aborted = Promise.withResolvers<never>();
  const abort = () => {
    transport.close();
    aborted.reject(signal.reason);
  };
  signal.addEventListener("abort", abort, { once: true });
  try {
    if (signal.aborted) abort();
    return await Promise.race([startSession(transport, options), aborted.promise]);
  } catch (error) {
    transport.close();
    throw error;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
