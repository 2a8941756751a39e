/**
 * The two servers of a run, opened together.
 *
 * @module
 */
import { allowsTransactions, readProvider, statementPoolingError } from "../../catalog/internal.ts";
import { describeError, isTransient } from "../../core/internal.ts";
import {
  ConnectionError,
  describeEndpoint,
  type Endpoint,
  openSessionWithRetry,
  type Session,
  SqlState,
  withDatabase,
} from "../../postgres/internal.ts";
import type { ServerSummary } from "./report.ts";
import type { RunContext } from "./run.ts";

/** A session on each server: open → disposed. */
export interface ServerPair extends AsyncDisposable {
  readonly source: Session;
  /** In the database that the URL names, or in `postgres` if that does not exist yet. */
  readonly target: Session;
}

/** Both servers, and how to retry. */
export interface EndpointPair {
  readonly source: Endpoint;
  readonly target: Endpoint;
  /** Pauses before each further attempt. */
  readonly retryDelaysMs: readonly number[];
}

/**
 * Opens a session on each server, in parallel. A server that is starting or has no free connection
 * is tried again; one that does not exist is not, because it has never answered.
 *
 * @throws ConnectionError of the server that cannot be reached or is behind a pooler in statement
 * mode, or of both
 */
export async function openServerPair(
  { source, target, retryDelaysMs }: EndpointPair,
  { events, signal }: RunContext,
): Promise<ServerPair> {
  const open = async (endpoint: Endpoint) => {
    // one attempt may end because the connection is lost
    for (let attempt = 0; attempt < 2; attempt++) {
      const session = await openSessionWithRetry(endpoint, {
        signal,
        events,
        delaysMs: retryDelaysMs,
        isRetryable: (error) =>
          isTransient(error) && !(error instanceof ConnectionError && error.absent),
      });
      if (await allowsTransactions(session)) return session;
      await session.close();
      signal.throwIfAborted();
    }
    throw await statementPoolingError(endpoint, signal);
  };
  const [onSource, onTarget] = await Promise.allSettled([open(source), openTarget(target, open)]);
  if (onSource.status === "fulfilled" && onTarget.status === "fulfilled") {
    const sessions = { source: onSource.value, target: onTarget.value };
    return {
      ...sessions,
      [Symbol.asyncDispose]: async () => {
        await Promise.all([sessions.source.close(), sessions.target.close()]);
      },
    };
  }
  if (onSource.status === "fulfilled") await onSource.value.close();
  if (onTarget.status === "fulfilled") await onTarget.value.close();
  signal.throwIfAborted();
  if (onSource.status === "rejected" && onTarget.status === "rejected") {
    throw bothFailed(source, onSource.reason, onTarget.reason);
  }
  throw onSource.status === "rejected"
    ? onSource.reason
    : (onTarget as PromiseRejectedResult).reason;
}

/**
 * If the database that the target's URL names does not exist yet, connects to the maintenance
 * database instead; if that fails too, the first error is thrown.
 */
async function openTarget(
  endpoint: Endpoint,
  open: (endpoint: Endpoint) => Promise<Session>,
): Promise<Session> {
  try {
    return await open(endpoint);
  } catch (error) {
    if (!(error instanceof ConnectionError) || error.sqlState !== SqlState.invalidCatalogName) {
      throw error;
    }
    for (const name of ["postgres", "template1"]) {
      if (name === endpoint.database) continue;
      try {
        return await open(withDatabase(endpoint, name));
      } catch (other) {
        if (!(other instanceof ConnectionError)) throw other;
      }
    }
    throw error;
  }
}

function bothFailed(source: Endpoint, onSource: unknown, onTarget: unknown): unknown {
  if (!(onSource instanceof ConnectionError && onTarget instanceof ConnectionError)) {
    return onSource;
  }
  return new ConnectionError(
    [onSource.message, ...describeError(onTarget)].join("\n"),
    {
      endpoint: source,
      transient: onSource.transient && onTarget.transient,
      absent: onSource.absent && onTarget.absent,
      remedy: onSource.remedy,
      cause: new AggregateError([onSource, onTarget]),
    },
  );
}

/** A short description of the session's server. */
export async function summarize(session: Session): Promise<ServerSummary> {
  const provider = await readProvider(session);
  return {
    url: describeEndpoint(session.endpoint),
    version: formatVersion(session.serverVersion),
    ...(provider === undefined ? {} : { provider: provider.name }),
    encrypted: session.encrypted,
  };
}

/** `15.18` from 150018. */
export function formatVersion(serverVersion: number): string {
  return `${Math.floor(serverVersion / 10_000)}.${serverVersion % 10_000}`;
}
