/**
 * What may stand between us and the server: poolers and load balancers.
 *
 * @module
 */
import { openSession, ServerError, type Session } from "../postgres/internal.ts";

/** A thing in the way. */
export type Intermediary = "pooler" | "load-balancer";

/** Signs in an address. */
const addressSigns: readonly {
  readonly kind: Intermediary;
  readonly host?: RegExp;
  readonly port?: number;
}[] = [
  { kind: "load-balancer", host: /\.elb(?:\.[a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?$/ },
  { kind: "pooler", host: /-pooler\.(?:[a-z0-9-]+\.)+neon\.(?:tech|build)$/ },
  { kind: "pooler", host: /\.pooler\.supabase\.com$/ },
  { kind: "pooler", host: /\.proxy-[a-z0-9]+\.[a-z0-9-]+\.rds\.amazonaws\.com/ },
  { kind: "pooler", port: 6432 }, // PgBouncer's own, also Azure's and Crunchy's
  { kind: "pooler", port: 6543 }, // Supabase, transaction mode
];

/** What an address gives away, undefined when it is an ordinary one. */
export function intermediaryByAddress(
  { host, port }: { readonly host: string; readonly port: number },
): Intermediary | undefined {
  return addressSigns.find((sign) => sign.host?.test(host.toLowerCase()) || sign.port === port)
    ?.kind;
}

/**
 * Whether sessions share backends, as through a pooler in transaction or statement mode: settings,
 * locks, temporary tables and snapshots are then not ours alone.
 *
 * Two sessions are open at once, and one of them holds a transaction: on a server each has a
 * backend of its own that stays the same. It cannot see a pooler in session mode, which does no
 * harm.
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
