/**
 * Creating and dropping the fence of a table that is in use.
 *
 * @module
 */
import { displayName, ExitCode, ReplicatorError, retry, type TableName } from "../core/internal.ts";
import { ServerError, type Session, SqlState, withoutEventTriggers } from "../postgres/internal.ts";
import { blockerRemedy, describeBlocker, readTableHolders } from "./blockers.ts";

/** Each attempt waits for its lock for a moment only: sessions queue up behind it. */
const lockTimeoutMs = 400;

const lockDelaysMs: readonly number[] = [200, 500, 1_000, 2_000, 5_000, 5_000, 5_000, 5_000];

/**
 * Runs the statements for one table in a transaction of their own, as soon as the table is free for
 * a moment.
 *
 * @throws ReplicatorError (prerequisite) with the sessions that hold the table
 */
export async function changeFence(
  session: Session,
  table: TableName,
  statementsOf: (table: TableName) => readonly string[],
): Promise<void> {
  try {
    await retry(
      () =>
        withoutEventTriggers(session, async () => {
          await session.execute(`SET LOCAL lock_timeout = ${lockTimeoutMs}`);
          for (const statement of statementsOf(table)) await session.execute(statement);
        }),
      { delaysMs: lockDelaysMs, isRetryable: isLocked },
    );
  } catch (error) {
    throw isLocked(error) ? await tableIsHeld(session, table) : error;
  }
}

function isLocked(error: unknown): boolean {
  return error instanceof ServerError && error.sqlState === SqlState.lockNotAvailable;
}

async function tableIsHeld(session: Session, table: TableName): Promise<ReplicatorError> {
  const holders = await readTableHolders(session, table);
  return new ReplicatorError(
    `the fence of ${displayName(table)} cannot be changed: the table is locked`,
    {
      side: session.side,
      object: `database ${session.endpoint.database}`,
      details: holders.map((each) =>
        `${describeBlocker(each)}; ${blockerRemedy(each, session.side)}`
      ),
      remedy: "once these transactions have ended, run the same command again: it continues",
      exitCode: ExitCode.prerequisite,
    },
  );
}
