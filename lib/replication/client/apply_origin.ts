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
 * tell the difference: servers can have few origins. Otherwise there is none: its existence says
 * that the stream's changes carry it. The caller holds the stream's lock.
 *
 * @returns whether it does
 */
export async function useApplyOrigin(
  session: Session,
  { name, signal }: { readonly name: string; readonly signal?: AbortSignal | undefined },
): Promise<boolean> {
  const { found } = await session.queryOne<{ readonly found: boolean }>(slotStatement);
  const setUp = async () => {
    await session.query(createStatement, [name]);
    await session.query("SELECT pg_catalog.pg_replication_origin_session_setup($1)", [name]);
  };
  if (found && await succeeds(setUp, signal)) return true;
  await succeeds(() => dropApplyOrigin(session, name), signal);
  return false;
}

/** Whether the server allows something to be done with an origin, once it is not in use. */
async function succeeds(
  work: () => Promise<void>,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const done = await poll(async () => {
    try {
      await work();
      return true;
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      if (error.sqlState === SqlState.objectInUse) return undefined;
      if (unavailableStates.has(error.sqlState)) return false;
      throw error;
    }
  }, { intervalMs: 100, timeoutMs: waitMs, signal });
  return done ?? false;
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
