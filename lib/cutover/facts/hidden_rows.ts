/**
 * Tables whose rows row-level security hides from replication. Only reads.
 *
 * @module
 */
import type { TableName } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";

// rows of the table are hidden from the session's role; or from its owner, as whom a subscription
// writes from 16 on
const hiddenRowsStatement = `
  SELECT n.nspname AS schema, c.relname AS name
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_roles AS o ON o.oid = c.relowner
   WHERE c.relkind IN ('r', 'p') AND c.relrowsecurity
     AND (pg_catalog.row_security_active(c.oid)
          OR pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 160000
             AND c.relforcerowsecurity AND NOT o.rolsuper AND NOT o.rolbypassrls)
   ORDER BY n.nspname COLLATE pg_catalog."C", c.relname COLLATE pg_catalog."C"`;

/** Tables some of whose rows are hidden from those who apply changes or count rows. */
export async function readHiddenRows(session: Session): Promise<readonly TableName[]> {
  return await session.query<TableName & Record<string, unknown>>(hiddenRowsStatement);
}
