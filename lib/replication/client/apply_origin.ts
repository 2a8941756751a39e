/**
 * The replication origin under which the tool's changes are written, where the role may use one: it
 * distinguishes them from those of applications, as with a subscription.
 *
 * Source: PostgreSQL documentation, "Replication Progress Tracking".
 *
 * @module
 */
import { poll } from "../../core/internal.ts";
import { ServerError, type Session, SqlState } from "../../postgres/internal.ts";

/** Without the privilege, or a free place for it, changes are applied without an origin. */
const unavailableStates: ReadonlySet<string> = new Set([
  SqlState.insufficientPrivilege,
  SqlState.objectNotInPrerequisiteState,
  SqlState.configurationLimitExceeded,
]);

const createStatement = `
  SELECT pg_catalog.pg_replication_origin_create($1)
   WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_replication_origin AS o WHERE o.roname = $1)`;

/** Whether anything decodes what is written to the session's database. */
const slotStatement = `
  SELECT EXISTS (SELECT FROM pg_catalog.pg_replication_slots AS s
                  WHERE s.slot_type = 'logical' AND s.database = pg_catalog.current_database()) AS found`;

/** A session that has ended keeps its origin for a moment. */
const waitMs = 5_000;

/**
 * Lets the session write under the origin of a stream, if it may, and a slot of the database could
 * tell the difference: servers can have few origins. The caller holds the stream's lock.
 *
 * @returns whether it does
 */
export async function useApplyOrigin(
  session: Session,
  { name, signal }: { readonly name: string; readonly signal?: AbortSignal | undefined },
): Promise<boolean> {
  const { found } = await session.queryOne<{ readonly found: boolean }>(slotStatement);
  if (!found) return false;
  try {
    await session.query(createStatement, [name]);
    const isUsed = await poll(() => setUp(session, name), {
      intervalMs: 100,
      timeoutMs: waitMs,
      signal,
    });
    return isUsed ?? false;
  } catch (error) {
    if (error instanceof ServerError && unavailableStates.has(error.sqlState)) return false;
    throw error;
  }
}

async function setUp(session: Session, name: string): Promise<true | undefined> {
  try {
    await session.query("SELECT pg_catalog.pg_replication_origin_session_setup($1)", [name]);
    return true;
  } catch (error) {
    if (error instanceof ServerError && error.sqlState === SqlState.objectInUse) return undefined;
    throw error;
  }
}

/** Drops the origin of a stream that is not applied any longer, if it has one and the role may. */
export async function dropApplyOrigin(session: Session, name: string): Promise<void> {
  const { isDroppable } = await session.queryOne<{ readonly isDroppable: boolean }>(
    droppableStatement,
    [name],
  );
  // the server checks the privilege also where nothing is to be dropped
  if (isDroppable) await session.query("SELECT pg_catalog.pg_replication_origin_drop($1)", [name]);
}

const droppableStatement = `
  SELECT EXISTS (SELECT FROM pg_catalog.pg_replication_origin AS o WHERE o.roname = $1)
         AND pg_catalog.has_function_privilege('pg_catalog.pg_replication_origin_drop(text)', 'EXECUTE') AS "isDroppable"`;
