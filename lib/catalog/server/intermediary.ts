/**
 * Detects poolers and load balancers between the tool and the server.
 *
 * @module
 */
import { openSession, ServerError, type Session } from "../../postgres/internal.ts";

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

/**
 * Whether sessions share backends, as behind a pooler in transaction or statement mode: settings,
 * locks, temporary tables and snapshots then do not belong to one session.
 *
 * Opens a second session with a transaction: without such a pooler each session keeps its own
 * backend. A pooler in session mode is not detected, and does no harm.
 */
export async function sharesBackends(session: Session, signal: AbortSignal): Promise<boolean> {
  await using other = await openSession(session.endpoint, { signal });
  if (other.processId === session.processId) return true;
  try {
    return await other.transaction(async () => {
      const held = await backendOf(other);
      const free = await backendOf(session);
      return held !== other.processId || free !== session.processId;
    });
  } catch (error) {
    // statement mode refuses transactions
    if (error instanceof ServerError) return true;
    throw error;
  }
}

async function backendOf(session: Session): Promise<number> {
  return (await session.queryOne<{ pid: number }>("SELECT pg_catalog.pg_backend_pid() AS pid")).pid;
}
