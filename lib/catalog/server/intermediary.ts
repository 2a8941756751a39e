/**
 * Detects poolers and load balancers between the tool and the server.
 *
 * @module
 */
import {
  ConnectionError,
  type Endpoint,
  openSession,
  ServerError,
  type Session,
} from "../../postgres/internal.ts";
import { profileOf } from "../providers/profiles.ts";
import { readProvider } from "./provider.ts";

/** A kind of intermediary. */
export type Intermediary = "pooler" | "load-balancer";

/** Addresses that reveal an intermediary. */
const knownAddresses: readonly {
  readonly kind: Intermediary;
  readonly host?: RegExp;
  readonly port?: number;
}[] = [
  { kind: "load-balancer", host: /\.elb(?:\.[a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?$/ },
  { kind: "pooler", host: /-pooler\.(?:[a-z0-9-]+\.)+neon\.(?:tech|build)$/ },
  { kind: "pooler", host: /\.pooler\.supabase\.com$/ },
  { kind: "pooler", host: /\.proxy-[a-z0-9]+\.[a-z0-9-]+\.rds\.amazonaws\.com/ },
  { kind: "pooler", port: 6432 }, // PgBouncer, also at Azure and Crunchy
  { kind: "pooler", port: 6543 }, // Supabase, transaction mode
];

/** The intermediary that an address reveals; undefined for an ordinary address. */
export function intermediaryByAddress(
  { host, port }: { readonly host: string; readonly port: number },
): Intermediary | undefined {
  return knownAddresses.find((known) => known.host?.test(host.toLowerCase()) || known.port === port)
    ?.kind;
}

/** How often two sessions are compared behind an intermediary. */
const comparisons = 10;

/**
 * Whether sessions share backends, as behind a pooler in transaction mode: settings,
 * locks, temporary tables and snapshots then do not belong to one session.
 *
 * Opens a second session: without such a pooler each session keeps its own backend, and is told its
 * process ID when it starts. Behind an intermediary that tells something else, the two are compared
 * several times, because other sessions of the tool can occupy backends so that each of the two
 * happens to get the one that it had before. A pooler in session mode is not detected, and does no
 * harm.
 */
export async function sharesBackends(session: Session, signal: AbortSignal): Promise<boolean> {
  await using other = await openSession(session.endpoint, { signal });
  if (other.processId === session.processId) return true;
  const isDirect = session.announcedProcessId === session.processId &&
    other.announcedProcessId === other.processId;
  for (let count = isDirect ? 1 : comparisons; count > 0; count--) {
    const [holder, free] = count % 2 === 0 ? [session, other] : [other, session];
    if (await changesBackend(holder, free)) return true;
  }
  return false;
}

/** Compares two sessions, one of which holds its backend with a transaction. */
async function changesBackend(holder: Session, free: Session): Promise<boolean> {
  return await holder.transaction(async () => {
    const pids = [await backendOf(holder), await backendOf(free)];
    return pids[0] !== holder.processId || pids[1] !== free.processId;
  });
}

/**
 * Whether the session may open a transaction. A pooler in statement mode closes the connection of a
 * client that does; a connection that is lost for another reason gives the same answer.
 */
export async function allowsTransactions(session: Session): Promise<boolean> {
  try {
    await session.transaction(() => Promise.resolve());
    return true;
  } catch (error) {
    if (error instanceof ConnectionError || error instanceof ServerError) return false;
    throw error;
  }
}

/** The error for a pooler in statement mode, which names the direct route. */
export async function statementPoolingError(
  endpoint: Endpoint,
  signal: AbortSignal,
): Promise<ConnectionError> {
  await using session = await openSession(endpoint, { signal });
  const provider = await readProvider(session);
  return new ConnectionError(
    "the URL leads to a pooler in statement mode, which does not allow transactions",
    { endpoint, transient: false, remedy: profileOf(provider?.id).directRoute },
  );
}

async function backendOf(session: Session): Promise<number> {
  return (await session.queryOne<{ pid: number }>("SELECT pg_catalog.pg_backend_pid() AS pid")).pid;
}
