import { ExitCode, ReplicatorError } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";

/**
 * The schemas, and objects in them, whose owner is neither the current role, nor a role it is a
 * member of, nor a superuser. Since a superuser is a member of every role, it may only use objects
 * of superusers and its own.
 */
const foreignStatement = `
  WITH owned AS (
    SELECT 'schema ' || n.nspname AS object, n.nspowner AS owner
      FROM pg_catalog.pg_namespace AS n WHERE n.nspname = ANY ($1::pg_catalog.text[])
    UNION ALL
    SELECT n.nspname || '.' || c.relname, c.relowner
      FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE n.nspname = ANY ($1::pg_catalog.text[])
    UNION ALL
    SELECT n.nspname || '.' || p.proname || '()', p.proowner
      FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
     WHERE n.nspname = ANY ($1::pg_catalog.text[])
    UNION ALL
    SELECT n.nspname || '.' || t.typname, t.typowner
      FROM pg_catalog.pg_type AS t JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
     WHERE n.nspname = ANY ($1::pg_catalog.text[])
  )
  SELECT o.object, r.rolname::pg_catalog.text AS owner
    FROM owned AS o
    JOIN pg_catalog.pg_roles AS r ON r.oid = o.owner
    JOIN pg_catalog.pg_roles AS me ON me.rolname = current_user
   WHERE r.oid <> me.oid AND NOT r.rolsuper
     AND (me.rolsuper OR NOT pg_catalog.pg_has_role(me.oid, r.oid, 'MEMBER'))
   ORDER BY o.object COLLATE pg_catalog."C" LIMIT 5`;

/**
 * Ensures that existing schemas of the service belong to its own role: another role's tables or
 * triggers could run code with every request.
 *
 * @throws ReplicatorError (prerequisite) naming objects and owners
 */
export async function refuseForeignSchemas(
  session: Session,
  schemas: readonly string[],
): Promise<void> {
  const list = `{${schemas.map((name) => `"${name}"`).join(",")}}`;
  const found = await session.query<{ readonly object: string; readonly owner: string }>(
    foreignStatement,
    [list],
  );
  if (found.length === 0) return;
  throw new ReplicatorError("the service's tables in its database belong to another role", {
    object: `schema ${schemas.join(", ")}`,
    details: found.map(({ object, owner }) => `${object} belongs to role "${owner}"`),
    remedy:
      "connect as that role if it set up the service, or use a separate database for the service",
    exitCode: ExitCode.prerequisite,
  });
}
