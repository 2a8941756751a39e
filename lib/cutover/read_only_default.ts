/**
 * The read-only default of a closed database.
 *
 * @module
 */
import { isTransient, quoteIdentifier } from "../core/internal.ts";
import {
  ConnectionError,
  openSession,
  ServerError,
  type Session,
  SqlState,
  withDatabase,
} from "../postgres/internal.ts";

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

/** A condition: whether the session's database has a read-only default of its own, on or off. */
export const hasDatabaseDefault = `
  EXISTS (SELECT FROM pg_catalog.pg_db_role_setting AS s
            JOIN pg_catalog.pg_database AS d ON d.oid = s.setdatabase
           CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c (entry)
           WHERE s.setrole = 0 AND d.datname = pg_catalog.current_database()
             AND c.entry LIKE 'default_transaction_read_only=%')`;

/**
 * Removes the default from the session's database, in the caller's transaction, even if the tool
 * did not set it.
 *
 * @returns false if the role may not
 */
export async function tryResetReadOnly(session: Session): Promise<boolean> {
  const { isSet } = await session.queryOne<{ readonly isSet: boolean }>(
    `SELECT ${hasDatabaseDefault} AS "isSet"`,
  );
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

/** Read-only defaults that apply to all roles without one of their own. */
export interface ReadOnlyDefaults {
  /** Whether the database has one, which the opening of its side removes. */
  readonly database: boolean;
  /**
   * Whether the server has one, which remains: `ALTER SYSTEM`, the configuration file, or `ALTER
   * ROLE ALL`. Undefined if only another database would show it, and that cannot be read.
   */
  readonly server: boolean | undefined;
}

// the tool's sessions have a value of their own, set after they have begun: reset_val is the one
// with which they began
const defaultsStatement = `
  SELECT s.reset_val = 'on' AS is_on,
         EXISTS (SELECT FROM entry AS e WHERE e.setrole = 0) AS by_database,
         EXISTS (SELECT FROM entry AS e WHERE e.setrole <> 0) AS by_role
    FROM pg_catalog.pg_settings AS s
   WHERE s.name = 'default_transaction_read_only'`;

const entriesQuery = `
  WITH entry AS (
    SELECT r.setrole
      FROM pg_catalog.pg_db_role_setting AS r
     CROSS JOIN LATERAL pg_catalog.unnest(r.setconfig) AS c (setting)
     WHERE c.setting LIKE 'default\\_transaction\\_read\\_only=%'
       AND (r.setrole, r.setdatabase) IN (
             SELECT x.role, x.database
               FROM pg_catalog.pg_database AS d
               JOIN pg_catalog.pg_roles AS me ON me.rolname = session_user
              CROSS JOIN LATERAL (VALUES (0::pg_catalog.oid, d.oid), (me.oid, 0::pg_catalog.oid), (me.oid, d.oid))
                AS x (role, database)
              WHERE d.datname = pg_catalog.current_database())
  )`;

/** Reads the defaults with which sessions of the session's database begin. */
export async function readReadOnlyDefaults(session: Session): Promise<ReadOnlyDefaults> {
  const { database, server } = await readBeginning(session);
  if (server !== undefined || !database) return { database, server };
  try {
    await using other = await openSession(withDatabase(session.endpoint, "postgres"));
    return { database, server: (await readBeginning(other)).server };
  } catch (error) {
    if (error instanceof ServerError || error instanceof ConnectionError || isTransient(error)) {
      return { database, server: undefined };
    }
    throw error;
  }
}

async function readBeginning(session: Session): Promise<ReadOnlyDefaults> {
  const row = await session.queryOne<
    { readonly is_on: boolean; readonly by_database: boolean; readonly by_role: boolean }
  >(entriesQuery + defaultsStatement);
  return {
    database: row.by_database,
    server: row.by_database || row.by_role ? undefined : row.is_on,
  };
}

/** A role whose own read-only default precedes that of the database. */
export interface RoleDefault {
  readonly role: string;
  /** Whether its new sessions are read-only. */
  readonly isReadOnly: boolean;
}

// a setting for the database precedes one for all; values are stored as they were written
const roleDefaultsStatement = `
  SELECT DISTINCT ON (s.setrole) pg_catalog.pg_get_userbyid(s.setrole)::pg_catalog.text AS role,
         pg_catalog.lower(pg_catalog.split_part(c.entry, '=', 2)) ~ '^(on|1|t(r(ue?)?)?|y(es?)?)$' AS is_read_only
    FROM pg_catalog.pg_db_role_setting AS s
   CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c (entry)
   WHERE s.setrole <> 0
     AND s.setdatabase IN (0, (SELECT d.oid FROM pg_catalog.pg_database AS d
                                WHERE d.datname = pg_catalog.current_database()))
     AND c.entry LIKE 'default\\_transaction\\_read\\_only=%'
   ORDER BY s.setrole, s.setdatabase DESC`;

/** Reads which roles have a read-only default of their own in the session's database. */
export async function readRoleDefaults(session: Session): Promise<readonly RoleDefault[]> {
  const rows = await session.query<{ readonly role: string; readonly is_read_only: boolean }>(
    roleDefaultsStatement,
  );
  return rows.map(({ role, is_read_only }) => ({ role, isReadOnly: is_read_only }))
    .toSorted((a, b) => a.role < b.role ? -1 : 1);
}
