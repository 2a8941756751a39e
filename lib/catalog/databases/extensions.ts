/**
 * Reads installed and available extensions.
 *
 * @module
 */
import type { Session } from "../../postgres/internal.ts";

/** An extension of a database. */
export type Extension = {
  readonly name: string;
  readonly version: string;
  readonly schema: string;
};

/** An extension that a server offers. */
export type AvailableExtension = {
  readonly name: string;
  readonly defaultVersion: string;
  readonly versions: readonly string[];
  /** Whether only a superuser can create it (it is not trusted). */
  readonly needsSuperuser: boolean;
};

/**
 * Extensions whose library belongs in `shared_preload_libraries`, and whether CREATE EXTENSION
 * fails without it.
 */
const preloaded: Readonly<Record<string, { readonly required: boolean }>> = {
  citus: { required: true },
  pg_cron: { required: true },
  pg_net: { required: false },
  pg_squeeze: { required: false },
  pg_stat_kcache: { required: true },
  pg_stat_statements: { required: false },
  pg_wait_sampling: { required: false },
  pgaudit: { required: true },
  pglogical: { required: false },
  pgsodium: { required: false },
  timescaledb: { required: true },
};

/** Whether an extension needs its library (of the same name) preloaded; undefined for most. */
export function preloadNeed(extension: string): { readonly required: boolean } | undefined {
  return Object.hasOwn(preloaded, extension) ? preloaded[extension] : undefined;
}

const installedStatement = `
  SELECT e.extname AS name, e.extversion AS version, n.nspname AS schema
    FROM pg_catalog.pg_extension AS e
    JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
   ORDER BY e.extname COLLATE pg_catalog."C"`;

/** The extensions of the session's database. */
export async function listExtensions(session: Session): Promise<readonly Extension[]> {
  return await session.query<Extension>(installedStatement);
}

// trusted extensions exist since 13
const availableStatement = `
  SELECT a.name, a.default_version,
         (SELECT coalesce(pg_catalog.json_agg(v.version), '[]') FROM pg_catalog.pg_available_extension_versions AS v
           WHERE v.name = a.name) AS versions,
         coalesce((SELECT v.superuser AND NOT coalesce((pg_catalog.to_jsonb(v) ->> 'trusted')::boolean, false)
                     FROM pg_catalog.pg_available_extension_versions AS v
                    WHERE v.name = a.name AND v.version = a.default_version), true) AS needs_superuser
    FROM pg_catalog.pg_available_extensions AS a`;

type AvailableRow = {
  readonly name: string;
  readonly default_version: string;
  readonly versions: readonly string[];
  readonly needs_superuser: boolean;
};

/** The extensions that the session's server offers. */
export async function listAvailableExtensions(
  session: Session,
): Promise<readonly AvailableExtension[]> {
  const rows = await session.query<AvailableRow>(availableStatement);
  return rows.map((row) => ({
    name: row.name,
    defaultVersion: row.default_version,
    versions: row.versions,
    needsSuperuser: row.needs_superuser,
  }));
}

/** Compares extension versions numerically: `1.10` comes after `1.9`. */
export function compareExtensionVersions(a: string, b: string): number {
  return a.localeCompare(b, "en", { numeric: true });
}
