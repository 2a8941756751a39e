/**
 * Opens sessions: hosts in order, the encryptions that `sslmode` allows, authentication, pinned
 * settings.
 *
 * @module
 */
import { connectOrder } from "../connect/connect_order.ts";
import type { Endpoint } from "../connect/endpoint.ts";
import { LoginError } from "../connect/login_error.ts";
import { ConnectionError, connectionFailure, serverMessageOf } from "../connect/server_error.ts";
import type { HostPort } from "../connect/url.ts";
import { ProtocolError } from "../protocol/message_limits.ts";
import { SqlState } from "../protocol/sqlstate.ts";
import { attemptSession } from "./attempt_session.ts";
import type { Session, SessionOptions } from "./session.ts";
import { sharedLockHeld } from "./shared_lock.ts";

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
  for (const { place, encryption, attributes } of connectOrder(endpoint)) {
    options.signal?.throwIfAborted();
    try {
      const session = await attemptSession(endpoint, {
        place,
        encryption,
        options,
        observe: (signal) => openSession(observing(endpoint, place), { signal }),
      });
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
      if (isServerRefusal(error) && !retriesWithOtherEncryption(endpoint, error)) throw failure;
    }
  }
  const [first] = failures;
  if (failures.length === 1 && first !== undefined) throw first;
  throw new ConnectionError(
    [...new Set(failures.map(({ message }) => message))].join("; "),
    {
      endpoint,
      transient: failures.some(({ transient }) => transient),
      absent: failures.every(({ absent }) => absent),
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
function isServerRefusal(error: unknown): boolean {
  return serverMessageOf(error) !== undefined || error instanceof LoginError ||
    error instanceof ProtocolError;
}

function retriesWithOtherEncryption({ tls }: Endpoint, error: unknown): boolean {
  return (tls.mode === "allow" || tls.mode === "prefer") &&
    serverMessageOf(error)?.sqlState === SqlState.invalidAuthorization;
}

/** The same server, to query the state of a session there. */
function observing(endpoint: Endpoint, place: HostPort): Endpoint {
  return {
    ...endpoint,
    hosts: [place],
    targetSessionAttributes: "any",
    sharedLock: undefined,
    silenceMs: Infinity,
    onLockWait: undefined,
  };
}
