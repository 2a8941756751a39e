/**
 * The read-only default of a closed database.
 *
 * @module
 */
import { quoteIdentifier } from "../core/internal.ts";
import { ServerError, type Session, SqlState } from "../postgres/internal.ts";

/**
 * New sessions are read-only unless they ask otherwise: clients find out before their first write,
 * and `target_session_attrs=read-write` moves on to the other host. The fence is what refuses
 * writes; without the database's ownership this is left out.
 */
export async function trySetReadOnly(
  session: Session,
  { database, timeoutMs }: { readonly database: string; readonly timeoutMs: number },
): Promise<void> {
  // a second ALTER DATABASE waits until the transaction of the first has ended
  await session.execute(`SAVEPOINT seren_read_only; SET LOCAL lock_timeout = ${timeoutMs}`);
  try {
    await session.execute(
      `ALTER DATABASE ${quoteIdentifier(database)} SET default_transaction_read_only = on`,
    );
    await session.execute("SET LOCAL lock_timeout = 0");
  } catch (error) {
    if (
      !(error instanceof ServerError) ||
      error.sqlState !== SqlState.insufficientPrivilege &&
        error.sqlState !== SqlState.lockNotAvailable
    ) throw error;
    await session.execute("ROLLBACK TO SAVEPOINT seren_read_only");
  }
}

/**
 * Removes the default from the session's database, in the caller's transaction, even if the tool
 * did not set it.
 *
 * @returns false if the role may not
 */
export async function tryResetReadOnly(session: Session): Promise<boolean> {
  const { isSet } = await session.queryOne<{ readonly isSet: boolean }>(`
    SELECT EXISTS (SELECT FROM pg_catalog.pg_db_role_setting AS s
                     JOIN pg_catalog.pg_database AS d ON d.oid = s.setdatabase
                    CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c (entry)
                    WHERE s.setrole = 0 AND d.datname = pg_catalog.current_database()
                      AND c.entry LIKE 'default_transaction_read_only=%') AS "isSet"`);
  if (!isSet) return true;
  await session.execute("SAVEPOINT seren_read_only");
  try {
    await session.execute(
      `ALTER DATABASE ${
        quoteIdentifier(session.endpoint.database)
      } RESET default_transaction_read_only`,
    );
    return true;
  } catch (error) {
    if (!(error instanceof ServerError) || error.sqlState !== SqlState.insufficientPrivilege) {
      throw error;
    }
    await session.execute("ROLLBACK TO SAVEPOINT seren_read_only");
    return false;
  }
}
