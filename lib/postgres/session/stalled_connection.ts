/**
 * Notices a connection that has gone silent for ever while both of its ends stay up.
 *
 * TCP does not: a proxy, a NAT gateway or a firewall that has forgotten the connection, or swallows
 * what it carries, may go on answering keepalives. Nor does silence alone prove anything, for a
 * statement may work for hours without a word. So the server is asked, over another connection,
 * what the backend waits for: when that is us, and we wait for it, what one of the two has said is
 * lost.
 *
 * @module
 */
import { formatDuration } from "../../core/internal.ts";
import { describeHost, type Endpoint } from "../connect/endpoint.ts";
import { pause } from "../connect/retry.ts";
import { ConnectionError } from "../connect/server_error.ts";
import type { HostPort } from "../connect/url.ts";
import type { Connection } from "../connect/connection.ts";

/**
 * How long a connection may be silent before the server is asked, unless the endpoint says
 * otherwise.
 */
export const defaultStallMs = 5 * 60_000;

/** A backend as its session found it. Times are microseconds since 1970, as texts. */
export interface Backend {
  readonly processId: number;
  /** When its server was started. */
  readonly serverStart: string;
  /** When the session was opened, by the server's clock. */
  readonly openedAt: string;
}

/** What asks the server about a backend: another session, and as much of one as that takes. */
export interface StallObserver {
  query(statement: string, parameters: readonly (string | number)[]): Promise<readonly object[]>;
  close(): Promise<void>;
}

/** What is watched. */
export interface StallOptions {
  readonly endpoint: Endpoint;
  readonly place: HostPort;
  readonly wire: Connection;
  readonly backend: Backend;
  /** Whether an answer of the server is due. */
  readonly awaitsAnswer: () => boolean;
  /** Opens another session on the same server. */
  readonly observe: (signal: AbortSignal) => Promise<StallObserver>;
}

/** Looks that have to agree, one after the other, before a connection is given up. */
const agreeingObservations = 2;
const stallObservations = 10;

/**
 * Watches a connection until it is closed, and closes it with a transient {@linkcode
 * ConnectionError} when it has gone silent for ever.
 *
 * Its backend is ended too, where that can be done: it would keep its locks until the server
 * notices that nobody is there, which it may never do.
 */
export async function watchForStall(options: StallOptions): Promise<void> {
  const { wire, awaitsAnswer, endpoint: { silenceMs = defaultStallMs } } = options;
  const closed = new AbortController();
  wire.closed.then(() => closed.abort());
  const { signal } = closed;
  let waitingSinceMs: number | undefined;
  let agreeing = 0;
  try {
    for (;;) {
      await pause(silenceMs / stallObservations, signal);
      const now = performance.now();
      // while what has come is being passed on the backend may well wait for this end
      const waits = wire.isListening && (wire.isWriting || awaitsAnswer());
      waitingSinceMs = waits ? waitingSinceMs ?? now : undefined;
      const sinceMs = Math.max(waitingSinceMs ?? now, wire.movedMs);
      const isSilent = () => wire.movedMs <= sinceMs;
      const verdict = now - sinceMs < silenceMs ? undefined : await askAbout(options, {
        signal,
        isSilent,
        endsIt: agreeing + 1 >= agreeingObservations,
      });
      agreeing = verdict === undefined ? 0 : agreeing + 1;
      if (verdict === undefined || agreeing < agreeingObservations) continue;
      wire.close(goneSilent(options, { verdict, silentMs: performance.now() - sinceMs }));
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

function goneSilent(
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
        "something on the way (a proxy, NAT, firewall, VPN) has lost the connection without a word: look at its idle time-outs",
    },
  );
}

// A server that has been started since has forgotten the backend; another one behind the same
// address has never known it. Source: PostgreSQL documentation, "27.2.3. pg_stat_activity".
const backendStatement = `
  SELECT m.start = $2::bigint AS same_server, m.start > $3::bigint AS restarted,
         a.pid, a.wait_event_type, a.wait_event
    FROM (SELECT (extract(epoch FROM pg_catalog.pg_postmaster_start_time()) * 1000000)::bigint) AS m (start)
   CROSS JOIN (SELECT usesysid FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid()) AS own
    LEFT JOIN pg_catalog.pg_stat_activity AS a
           ON a.pid = $1::int AND a.usesysid = own.usesysid
          AND (extract(epoch FROM a.backend_start) * 1000000)::bigint <= $3::bigint`;

const endStatement = "SELECT pg_catalog.pg_terminate_backend($1::int)";

/** What a server says about a backend. */
export interface BackendRow {
  readonly same_server: boolean;
  readonly restarted: boolean;
  /** Null when there is no such backend. */
  readonly pid: number | null;
  readonly wait_event_type: string | null;
  readonly wait_event: string | null;
}

/** Why nothing can come any more; undefined when something may, or it cannot be told. */
async function askAbout(
  { observe, backend: { processId, serverStart, openedAt } }: StallOptions,
  { signal, isSilent, endsIt }: {
    readonly signal: AbortSignal;
    readonly isSilent: () => boolean;
    readonly endsIt: boolean;
  },
): Promise<string | undefined> {
  let observer: StallObserver | undefined;
  try {
    observer = await observe(signal);
    const [row] = await observer.query(backendStatement, [processId, serverStart, openedAt]);
    const verdict = row === undefined ? undefined : evaluateStall(row as BackendRow, processId);
    // what came meanwhile came over the connection in question
    if (verdict === undefined || !isSilent()) return undefined;
    if (endsIt && (row as BackendRow).pid !== null) {
      // closing the connection may do as much
      await observer.query(endStatement, [processId]).catch(() => {});
    }
    return verdict;
  } catch (error) {
    if (signal.aborted) throw error;
    // a server that refuses us is up and says nothing about the backend; one that does not answer
    // is as silent as the connection
    const unanswered = error instanceof ConnectionError && error.transient &&
      error.sqlState === undefined;
    return unanswered && isSilent()
      ? `and a new one is not answered either: ${error.message}`
      : undefined;
  } finally {
    await observer?.close();
  }
}

/**
 * What the server's word about a backend means for one who waits for its answer; undefined: nothing
 * is wrong, or it cannot be told. Pure.
 */
export function evaluateStall(
  { same_server, restarted, pid, wait_event_type, wait_event }: BackendRow,
  processId: number,
): string | undefined {
  if (!same_server) {
    return restarted ? `the server has been started anew, without backend ${processId}` : undefined;
  }
  if (pid === null) return `backend ${processId} has ended on the server`;
  const waitsForUs = wait_event_type === "Client" &&
    (wait_event === "ClientRead" || wait_event === "ClientWrite");
  return waitsForUs
    ? `backend ${processId} waits for this end (${wait_event}) and this end for the backend`
    : undefined;
}
