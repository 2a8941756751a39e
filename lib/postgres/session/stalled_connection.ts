/**
 * Detects a connection that has stalled permanently while both of its ends are up.
 *
 * TCP does not: a proxy, NAT gateway or firewall that has dropped the connection, or discards its
 * packets, may keep answering keepalives. Nor does silence prove anything, since a statement may
 * run for hours. So the server is asked over another connection what the backend waits for: if it
 * waits for the client while the client waits for it, data has been lost.
 *
 * @module
 */
import { formatDuration, repeatUntilAborted } from "../../core/internal.ts";
import { describeHost, type Endpoint } from "../connect/endpoint.ts";
import { ConnectionError } from "../connect/server_error.ts";
import type { HostPort } from "../connect/url.ts";
import type { Connection } from "../connect/connection.ts";

/** A backend at the start of its session. Times are microseconds since 1970, as text. */
export interface Backend {
  readonly processId: number;
  /** Start time of its server. */
  readonly serverStart: string;
  /** Start time of the session, by the server's clock. */
  readonly openedAt: string;
}

/** The part of another session that is needed to query the state of a backend. */
export interface StallObserver {
  query(statement: string, parameters: readonly (string | number)[]): Promise<readonly object[]>;
  close(): Promise<void>;
}

/** The connection to watch. */
export interface StallOptions {
  readonly endpoint: Endpoint;
  readonly place: HostPort;
  readonly connection: Connection;
  readonly backend: Backend;
  /** Whether an answer from the server is due. */
  readonly awaitsAnswer: () => boolean;
  /** Opens another session on the same server. */
  readonly observe: (signal: AbortSignal) => Promise<StallObserver>;
}

/** Consecutive observations that must agree before the connection is closed. */
const agreeingObservations = 2;
/** Checks within the time that a connection may be silent. */
const checksPerSilence = 10;

/**
 * Watches a connection until it is closed, and closes it with a transient {@linkcode
 * ConnectionError} when it has stalled.
 *
 * Its backend is terminated too, if possible: it would keep its locks until the server notices that
 * the client is gone, which may never happen.
 */
export async function watchForStall(options: StallOptions): Promise<void> {
  const { connection, awaitsAnswer, endpoint: { silenceMs } } = options;
  const closed = new AbortController();
  connection.closed.then(() => closed.abort());
  const { signal } = closed;
  let waitingSinceMs: number | undefined;
  let agreeing = 0;
  try {
    await repeatUntilAborted(async () => {
      const now = performance.now();
      // while received bytes are being processed, the backend may legitimately wait for the client
      const waits = connection.isListening && (connection.isWriting || awaitsAnswer());
      waitingSinceMs = waits ? waitingSinceMs ?? now : undefined;
      const sinceMs = Math.max(waitingSinceMs ?? now, connection.lastActivityMs);
      const isSilent = () => connection.lastActivityMs <= sinceMs;
      const verdict = now - sinceMs < silenceMs ? undefined : await askAbout(options, {
        signal,
        isSilent,
        terminates: agreeing + 1 >= agreeingObservations,
      });
      agreeing = verdict === undefined ? 0 : agreeing + 1;
      if (verdict === undefined || agreeing < agreeingObservations) return;
      connection.close(stalled(options, { verdict, silentMs: performance.now() - sinceMs }));
    }, { intervalMs: silenceMs / checksPerSilence, signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

function stalled(
  { endpoint, place }: StallOptions,
  { verdict, silentMs }: { readonly verdict: string; readonly silentMs: number },
): ConnectionError {
  return new ConnectionError(
    `the connection to ${describeHost(place)} has been silent for ${
      formatDuration(silentMs)
    }: ${verdict}`,
    {
      endpoint,
      transient: true,
      remedy:
        "a proxy, NAT gateway, firewall or VPN in between has silently dropped the connection: check its idle timeouts",
    },
  );
}

// A restarted server no longer has the backend; another server behind the same address never had
// it. Source: PostgreSQL documentation, "27.2.3. pg_stat_activity".
const backendStatement = `
  SELECT m.start = $2::bigint AS same_server, m.start > $3::bigint AS restarted,
         a.pid, a.wait_event_type, a.wait_event
    FROM (SELECT (extract(epoch FROM pg_catalog.pg_postmaster_start_time()) * 1000000)::bigint) AS m (start)
   CROSS JOIN (SELECT usesysid FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid()) AS own
    LEFT JOIN pg_catalog.pg_stat_activity AS a
           ON a.pid = $1::int AND a.usesysid = own.usesysid
          AND (extract(epoch FROM a.backend_start) * 1000000)::bigint <= $3::bigint`;

const endStatement = "SELECT pg_catalog.pg_terminate_backend($1::int)";

/** The server's view of a backend. */
interface BackendRow {
  readonly same_server: boolean;
  readonly restarted: boolean;
  /** Null when the backend does not exist. */
  readonly pid: number | null;
  readonly wait_event_type: string | null;
  readonly wait_event: string | null;
}

/** Why no answer can come; undefined when one may, or it is unknown. */
async function askAbout(
  { observe, backend: { processId, serverStart, openedAt } }: StallOptions,
  { signal, isSilent, terminates }: {
    readonly signal: AbortSignal;
    readonly isSilent: () => boolean;
    readonly terminates: boolean;
  },
): Promise<string | undefined> {
  let observer: StallObserver | undefined;
  try {
    observer = await observe(signal);
    const [row] = await observer.query(backendStatement, [processId, serverStart, openedAt]);
    const verdict = row === undefined ? undefined : evaluateStall(row as BackendRow, processId);
    // bytes received meanwhile prove that the connection works
    if (verdict === undefined || !isSilent()) return undefined;
    if (terminates && (row as BackendRow).pid !== null) {
      // closing the connection may end it too
      await observer.query(endStatement, [processId]).catch(() => {});
    }
    return verdict;
  } catch (error) {
    if (signal.aborted) throw error;
    // a server that rejects the session is up, which says nothing about the backend; one that does
    // not answer is as silent as the connection
    const unanswered = error instanceof ConnectionError && error.transient &&
      error.sqlState === undefined;
    return unanswered && isSilent()
      ? `and a new one gets no answer either: ${error.message}`
      : undefined;
  } finally {
    await observer?.close();
  }
}

/**
 * What a backend's state means for a client that waits for its answer; undefined when nothing is
 * wrong, or it is unknown. Pure.
 */
function evaluateStall(
  { same_server, restarted, pid, wait_event_type, wait_event }: BackendRow,
  processId: number,
): string | undefined {
  if (!same_server) {
    return restarted ? `the server has been restarted, without backend ${processId}` : undefined;
  }
  if (pid === null) return `backend ${processId} has ended on the server`;
  const waitsForClient = wait_event_type === "Client" &&
    (wait_event === "ClientRead" || wait_event === "ClientWrite");
  return waitsForClient
    ? `backend ${processId} waits for the client (${wait_event}), and the client for the backend`
    : undefined;
}
