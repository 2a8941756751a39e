/**
 * What closing a side by its sessions depends on. Only reads.
 *
 * @module
 */
import { pause, tableKey, type TableName } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import type { RoleDefault } from "../read_only_default.ts";
import { readOtherSessions } from "../session_fence.ts";
import type { SessionFacts } from "./side_facts.ts";

const grantsStatement = `
  SELECT n.nspname AS schema, c.relname AS name
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_'
     AND NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE')
              AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
              AND pg_catalog.has_table_privilege(c.oid, 'INSERT')
              AND pg_catalog.has_table_privilege(c.oid, 'UPDATE')
              AND pg_catalog.has_table_privilege(c.oid, 'DELETE')
              AND pg_catalog.has_table_privilege(c.oid, 'TRUNCATE'))
   ORDER BY 1, 2`;

const startingMs = 200;

/**
 * Sessions that the role may not terminate. A walsender that starts or ends is for a moment not
 * known to be one: a session counts if it is found twice.
 */
async function readKeptSessions(session: Session): Promise<SessionFacts["kept"]> {
  const read = async () =>
    (await readOtherSessions(session)).filter(({ isProtected }) => isProtected);
  const first = await read();
  if (first.length === 0) return first;
  await pause(startingMs);
  const pids = new Set(first.map(({ pid }) => pid));
  return (await read()).filter(({ pid }) => pids.has(pid));
}

/** Reads it for a side whose tables in scope the role does not all own. */
export async function readSessionFacts(
  session: Session,
  { tables, roles }: {
    readonly tables: readonly TableName[];
    readonly roles: readonly RoleDefault[];
  },
): Promise<SessionFacts> {
  const keys = new Set(tables.map((table) => tableKey(table)));
  type Row = TableName & Record<string, unknown>;
  return {
    kept: await readKeptSessions(session),
    writableRoles: roles.filter(({ isReadOnly }) => !isReadOnly).map(({ role }) => role),
    withoutGrants: (await session.query<Row>(grantsStatement)).filter((table) =>
      keys.has(tableKey(table))
    ),
  };
}
