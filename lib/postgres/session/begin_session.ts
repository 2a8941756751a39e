/**
 * Makes a session of an authenticated connection: pins its settings and reads where it is.
 *
 * @module
 */
import type { Connection } from "../connect/connection.ts";
import type { Endpoint } from "../connect/endpoint.ts";
import type { HostPort } from "../connect/url.ts";
import { ProtocolError } from "../protocol/message_limits.ts";
import { drive } from "./driver.ts";
import { LockWatch } from "./lock_watch.ts";
import { Session, type SessionOptions } from "./session.ts";
import { pinStatements, settingsFor } from "./settings.ts";
import { type Backend, watchForStall } from "./stalled_connection.ts";

/** A session, and what its first statement has shown. */
export interface OpenedSession {
  readonly session: Session;
  /** Whether the server is what `target_session_attrs` asks for. */
  readonly fits: (attributes: string) => boolean;
  /** Whether event triggers were off before the first statement. */
  readonly startedQuietly: boolean;
}

/** Where and how a session begins. */
export interface BeginSessionOptions {
  readonly endpoint: Endpoint;
  readonly place: HostPort;
  readonly options: SessionOptions;
  /** Opens another session on the same server, to query the state of this one. */
  readonly observe: (signal: AbortSignal) => Promise<Session>;
  /** Aborted by the caller, or after `connect_timeout`. */
  readonly signal: AbortSignal;
}

/** Begins a session; closes the connection if the signal aborts before that. */
export async function beginSession(
  connection: Connection,
  how: BeginSessionOptions,
): Promise<OpenedSession> {
  const { endpoint, place, options, signal } = how;
  // the driver reconnects when a connection closes before it is ready, and the query would wait
  // forever
  const ended = Promise.withResolvers<never>();
  ended.promise.catch(() => {}); // raced below; may reject after the race
  const end = () => {
    connection.close(signal.reason);
    ended.reject(signal.reason);
  };
  connection.closed.then(() =>
    ended.reject(connection.failure ?? new Error("the server closed the connection"))
  );
  signal.addEventListener("abort", end, { once: true });
  if (signal.aborted) end();
  try {
    const driver = drive(endpoint, { place, connection, values: options.values ?? "text" });
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
    return {
      session: makeSession(row, { ...how, connection, driver }),
      fits: (attributes) => fitsAttributes(attributes, row),
      startedQuietly: row.event_triggers === "off",
    };
  } finally {
    signal.removeEventListener("abort", end);
  }
}

function makeSession(
  row: PinnedRow,
  { endpoint, place, options, observe, connection, driver }: BeginSessionOptions & {
    readonly connection: Connection;
    readonly driver: ReturnType<typeof drive>;
  },
): Session {
  const backend: Backend = {
    processId: row.pid,
    serverStart: row.server_start,
    openedAt: row.opened_at,
  };
  return new Session({
    endpoint,
    place,
    connection,
    driver,
    serverVersion: row.server_version,
    processId: row.pid,
    replication: options.replication ?? false,
    watch: endpoint.silenceMs === Infinity
      ? undefined
      : (awaitsAnswer) =>
        watchForStall({ endpoint, place, connection, backend, awaitsAnswer, observe }),
    // a caller that has a walsender create a slot reports what that waits for
    lockWatch: endpoint.onLockWait === undefined || options.replication
      ? undefined
      : new LockWatch({ endpoint, backend, report: endpoint.onLockWait, observe }),
  }, options.signal);
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
  switch (attributes) {
    case "read-only":
      return in_recovery || read_only === "on";
    // a database that is read-only by default, as a cutover leaves the side that it has closed, is
    // writable here: the session has turned that off
    case "read-write":
    case "primary":
      return !in_recovery;
    case "standby":
      return in_recovery;
    default:
      return true;
  }
}
