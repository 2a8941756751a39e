/**
 * Sessions in the databases of a server.
 *
 * @module
 */
import { openSession, type Session, withDatabase } from "../../postgres/internal.ts";

/**
 * Runs `work` with a session in a database of the session's server: that session itself if it is in
 * that database. Opening another one would cost the server more than most queries do: its first
 * queries find no catalog entry in its cache.
 */
export async function withSessionIn<Result>(
  server: Session,
  { database, signal }: { readonly database: string; readonly signal: AbortSignal },
  work: (session: Session) => Promise<Result>,
): Promise<Result> {
  if (server.endpoint.database === database && server.isOpen) return await work(server);
  await using session = await openSession(withDatabase(server.endpoint, database), { signal });
  return await work(session);
}
