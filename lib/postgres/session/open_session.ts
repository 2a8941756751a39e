/**
 * Opens sessions: hosts in order, the encryptions that `sslmode` allows, authentication, pinned
 * settings.
 *
 * @module
 */
import { drive } from "./driver.ts";
import type { Endpoint } from "../connect/endpoint.ts";
import {
  asksWithoutEventTriggers,
  mayRefuseParameter,
  noteEventTriggers,
  startupParameters,
} from "../connect/startup_event_triggers.ts";
import { LockWatch } from "./lock_watch.ts";
import { LoginError } from "../connect/login_error.ts";
import { ProtocolError } from "../protocol/message_limits.ts";
import { ConnectionError, connectionFailure, serverMessageOf } from "../connect/server_error.ts";
import { Session, type SessionOptions } from "./session.ts";
import { pinStatements, settingsFor } from "./settings.ts";
import { sharedLockHeld } from "./shared_lock.ts";
import type { ServerMessage } from "../protocol/server_message.ts";
import { type Backend, watchForStall } from "./stalled_connection.ts";
import { SqlState } from "../protocol/sqlstate.ts";
import { type Started, type StartOptions, startSession } from "../connect/start_session.ts";
import { connectTransport, type Encryption } from "../connect/connect_transport.ts";
import type { Transport } from "../connect/transport.ts";
import type { HostPort } from "../connect/url.ts";
import { Connection } from "../connect/connection.ts";

/**
 * Opens a session on the first host that answers and matches `target_session_attrs`.
 *
 * @throws ConnectionError that lists the failure of each host
 */
export async function openSession(
  endpoint: Endpoint,
  options: SessionOptions = {},
): Promise<Session> {
  const failures: ConnectionError[] = [];
  for (const { place, encryption, attributes } of attempts(endpoint)) {
    options.signal?.throwIfAborted();
    try {
      const session = await attemptQuietly(endpoint, { place, encryption, options });
      if (session.fits(attributes)) return session.session;
      await session.session.close();
      failures.push(
        new ConnectionError(`${place.host}:${place.port} is not ${attributes}`, {
          endpoint,
          transient: true,
        }),
      );
    } catch (error) {
      options.signal?.throwIfAborted();
      await refuseHeldLock(error, { endpoint, place, signal: options.signal });
      const failure = connectionFailure(error, endpoint, place);
      failures.push(failure);
      // like libpq, continues with the next host only when this one could not be reached
      if (isRefusal(error) && !retriesWithOtherEncryption(endpoint, error)) throw failure;
    }
  }
  const [first] = failures;
  if (failures.length === 1 && first !== undefined) throw first;
  throw new ConnectionError(
    [...new Set(failures.map(({ message }) => message))].join("; "),
    {
      endpoint,
      transient: failures.some(({ transient }) => transient),
      remedy: failures.findLast(({ remedy }) => remedy !== undefined)?.remedy,
      cause: first,
    },
  );
}

/**
 * @throws ReplicatorError that names the holder, when the run's lock could not be acquired
 */
async function refuseHeldLock(
  error: unknown,
  { endpoint, place, signal }: {
    readonly endpoint: Endpoint;
    readonly place: HostPort;
    readonly signal: AbortSignal | undefined;
  },
): Promise<void> {
  const { sharedLock } = endpoint;
  if (sharedLock === undefined) return;
  if (serverMessageOf(error)?.sqlState !== SqlState.lockNotAvailable) return;
  await using session = await openSession(observing(endpoint, place), signal ? { signal } : {});
  throw await sharedLockHeld(session, sharedLock);
}

/** Whether the server answered, and would give the same answer again. */
function isRefusal(error: unknown): boolean {
  return serverMessageOf(error) !== undefined || error instanceof LoginError ||
    error instanceof ProtocolError;
}

function retriesWithOtherEncryption({ tls }: Endpoint, error: unknown): boolean {
  return (tls.mode === "allow" || tls.mode === "prefer") &&
    serverMessageOf(error)?.sqlState === SqlState.invalidAuthorization;
}

/** Host by host, and for each the encryptions that `sslmode` allows, in libpq's order. */
function* attempts(endpoint: Endpoint) {
  const encryptions: Readonly<Record<typeof endpoint.tls.mode, readonly Encryption[]>> = {
    "disable": ["plain"],
    "allow": ["plain", "required"],
    "prefer": ["if-offered", "plain"],
    "require": ["required"],
    "verify-ca": ["required"],
    "verify-full": ["required"],
  };
  const { targetSessionAttributes } = endpoint;
  const passes = targetSessionAttributes === "prefer-standby"
    ? ["standby", "any"] as const
    : [targetSessionAttributes];
  for (const attributes of passes) {
    for (const place of endpoint.hosts) {
      for (
        const encryption of place.host.startsWith("/")
          ? ["plain"] as const
          : encryptions[endpoint.tls.mode]
      ) {
        yield { place, encryption, attributes };
      }
    }
  }
}

interface OpenedSession {
  readonly session: Session;
  readonly fits: (attributes: string) => boolean;
  /** Whether event triggers were off before the first statement. */
  readonly startedQuietly: boolean;
}

interface Attempt {
  readonly place: HostPort;
  readonly encryption: Encryption;
  readonly options: SessionOptions;
}

/**
 * Opens a session in which no event trigger fires, not even at login, where server and role allow
 * it.
 */
async function attemptQuietly(endpoint: Endpoint, how: Attempt): Promise<OpenedSession> {
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
  how: Attempt,
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
  { place, encryption, options }: Attempt,
  parameters: Readonly<Record<string, string>>,
): Promise<OpenedSession | StartupRefusal> {
  const { connectTimeoutMs } = endpoint;
  const timeout = new AbortController();
  const timer = setTimeout(
    () =>
      timeout.abort(
        new DOMException(
          `no answer within ${Math.round(connectTimeoutMs / 1000)} s`,
          "TimeoutError",
        ),
      ),
    connectTimeoutMs,
  );
  const signal = options.signal === undefined
    ? timeout.signal
    : AbortSignal.any([options.signal, timeout.signal]);
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
    const opened = connection;
    // the driver reconnects when a connection closes before it is ready, and the query would wait
    // forever
    const ended = Promise.withResolvers<never>();
    ended.promise.catch(() => {}); // raced below; may reject after the race
    const end = () => {
      opened.close(signal.reason);
      ended.reject(signal.reason);
    };
    opened.closed.then(() =>
      ended.reject(opened.failure ?? new Error("the server closed the connection"))
    );
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted) end();
    try {
      const driver = drive(endpoint, {
        place,
        connection: opened,
        values: options.values ?? "text",
      });
      const results = await Promise.race([
        driver.unsafe(
          pinStatements(settingsFor({ ...options, readsViews: endpoint.readsViews }), endpoint),
        ).simple(),
        ended.promise,
      ]);
      const row = (results as unknown as PinnedRow[][]).at(-1)?.[0];
      if (typeof row?.server_version !== "number" || typeof row.pid !== "number") {
        throw new ProtocolError("it did not answer the first query");
      }
      const backend: Backend = {
        processId: row.pid,
        serverStart: row.server_start,
        openedAt: row.opened_at,
      };
      const observe = (signal: AbortSignal) => openSession(observing(endpoint, place), { signal });
      return {
        session: new Session({
          endpoint,
          place,
          connection: opened,
          driver,
          serverVersion: row.server_version,
          processId: row.pid,
          replication: options.replication ?? false,
          watch: endpoint.silenceMs === Infinity ? undefined : (awaitsAnswer) =>
            watchForStall({
              endpoint,
              place,
              connection: opened,
              backend,
              awaitsAnswer,
              observe,
            }),
          // a caller that has a walsender create a slot reports what that waits for
          lockWatch: endpoint.onLockWait === undefined || options.replication
            ? undefined
            : new LockWatch({ endpoint, backend, report: endpoint.onLockWait, observe }),
        }, options.signal),
        fits: (attributes) => fitsAttributes(attributes, row),
        startedQuietly: row.event_triggers === "off",
      };
    } finally {
      signal.removeEventListener("abort", end);
    }
  } catch (error) {
    connection?.close();
    signal.throwIfAborted();
    const message = serverMessageOf(error);
    if (message !== undefined && connection === undefined) {
      return new StartupRefusal(error, message);
    }
    throw error;
  } finally {
    clearTimeout(timer);
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

/** The same server, to query the state of a session there. */
function observing(
  { sharedLock: _, onLockWait: __, ...endpoint }: Endpoint,
  place: HostPort,
): Endpoint {
  return { ...endpoint, hosts: [place], targetSessionAttributes: "any", silenceMs: Infinity };
}

interface PinnedRow {
  readonly server_version: number;
  readonly pid: number;
  readonly server_start: string;
  readonly opened_at: string;
  readonly in_recovery: boolean;
  readonly read_only: string;
  /** As the session found it; null before PostgreSQL 17. */
  readonly event_triggers: string | null;
}

function fitsAttributes(attributes: string, { in_recovery, read_only }: PinnedRow): boolean {
  const readOnly = in_recovery || read_only === "on";
  switch (attributes) {
    case "read-write":
      return !readOnly;
    case "read-only":
      return readOnly;
    case "primary":
      return !in_recovery;
    case "standby":
      return in_recovery;
    default:
      return true;
  }
}
