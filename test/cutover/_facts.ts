import type { PgMajor } from "../../lib/cluster/mod.ts";
import type postgres from "postgres";
import { withRepeats } from "../support/long.ts";
import { until } from "../support/replication.ts";
import { withSession } from "../support/sql.ts";

/** Versions of which the facts are shown besides the installed one. */
export const factVersions: readonly PgMajor[] = withRepeats([18], [12, 15]);

/** SQLSTATEs that the facts depend on. */
export const READ_ONLY = "25006";
export const QUERY_CANCELED = "57014";
export const DEADLOCK = "40P01";

/** Creates a function that rejects what its trigger is called for. */
export const fenceFunction = `
  CREATE SCHEMA fence;
  CREATE FUNCTION fence.reject() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    RAISE EXCEPTION 'the data has moved to new.example' USING ERRCODE = '${READ_ONLY}';
  END $$;`;

/** Creates the two triggers of a fence, disabled. */
export function fenceTriggers(table: string): string {
  return `
    CREATE TRIGGER fence BEFORE INSERT OR UPDATE OR DELETE ON ${table}
      FOR EACH STATEMENT EXECUTE FUNCTION fence.reject();
    CREATE TRIGGER fence_truncate BEFORE TRUNCATE ON ${table}
      FOR EACH STATEMENT EXECUTE FUNCTION fence.reject();
    ALTER TABLE ${table} DISABLE TRIGGER fence, DISABLE TRIGGER fence_truncate;`;
}

/** Closes a table to everything but an apply worker. */
export function closeTable(table: string): string {
  return `ALTER TABLE ${table} ENABLE ALWAYS TRIGGER fence, ENABLE TRIGGER fence_truncate;`;
}

/** Runs SQL in a session. */
export async function run(session: postgres.Sql, sql: string): Promise<void> {
  await session.unsafe(sql).simple();
}

/**
 * Starts SQL in a session. Resolves to `"done"`, or to the SQLSTATE of its error; never rejects, so
 * that it may be awaited later.
 */
export async function outcome(session: postgres.Sql, sql: string): Promise<string> {
  try {
    await session.unsafe(sql).simple();
    return "done";
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

/** Like {@linkcode outcome}, in a new session. */
export async function outcomeOf(url: string, sql: string): Promise<string> {
  return await withSession(url, (session) => outcome(session, sql));
}

/** The process ID of a session's backend. */
export async function pidOf(session: postgres.Sql): Promise<number> {
  const [row] = await session.unsafe("SELECT pg_backend_pid() AS pid").simple();
  return (row as unknown as { pid: number }).pid;
}

/** Waits until a backend waits for a lock. */
export async function untilWaiting(url: string, pid: number): Promise<void> {
  await until(
    url,
    `SELECT count(*) > 0 AS ok FROM pg_locks WHERE pid = ${pid} AND NOT granted`,
  );
}

/** Opens several sessions, passes them to `use`, and always closes them. */
export async function withSessions<T>(
  urls: readonly string[],
  use: (...sessions: postgres.Sql[]) => Promise<T>,
): Promise<T> {
  const [first, ...rest] = urls;
  if (first === undefined) return await use();
  return await withSession(
    first,
    (session) => withSessions(rest, (...others) => use(session, ...others)),
  );
}
