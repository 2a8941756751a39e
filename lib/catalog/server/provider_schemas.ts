import { type Session, textArray } from "../../postgres/internal.ts";
import { notOfExtension } from "../extension_members.ts";
import { listProviderRoles } from "./provider_names.ts";

const statement = `
  SELECT n.nspname AS name
    FROM pg_catalog.pg_namespace AS n
    JOIN pg_catalog.pg_roles AS r ON r.oid = n.nspowner
   WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('public', 'information_schema')
     AND r.rolname = ANY ($1::pg_catalog.text[])
     AND ${notOfExtension("pg_namespace", "n.oid")}
   ORDER BY n.nspname COLLATE pg_catalog."C"`;

/** Schemas of the session's database that a provider's roles own. */
export async function listProviderSchemas(session: Session): Promise<readonly string[]> {
  const rows = await session.query<{ name: string }>(statement, [textArray(listProviderRoles())]);
  return rows.map(({ name }) => name);
}

/**
 * Schemas that only the target has because its provider does, such as `auth` of Supabase: they are
 * no difference between the databases.
 */
export async function listProviderSchemasOfTarget(
  { source, target }: { readonly source: Session; readonly target: Session },
): Promise<readonly string[]> {
  const schemas = await listProviderSchemas(target);
  if (schemas.length === 0) return [];
  const existing = await source.query<{ name: string }>(
    "SELECT nspname AS name FROM pg_catalog.pg_namespace WHERE nspname = ANY ($1::pg_catalog.text[])",
    [textArray(schemas)],
  );
  return schemas.filter((schema) => !existing.some(({ name }) => name === schema));
}
