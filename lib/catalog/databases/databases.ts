/**
 * Reads the databases of a server, with the properties needed to create equal ones.
 *
 * @module
 */
import type { Session } from "../../postgres/internal.ts";
import { isProviderDatabase } from "../server/provider_names.ts";

/** The library that collates the text of a database. */
export type LocaleProvider = "libc" | "icu" | "builtin";

/** A database as in `pg_database`. */
export type Database = {
  readonly name: string;
  readonly oid: number;
  /** Bytes on disk; undefined if the role may not read it, or if it was not requested. */
  readonly sizeBytes: number | undefined;
  /** The role that owns it. */
  readonly owner: string;
  /** `UTF8`, `LATIN1`, `SQL_ASCII`. */
  readonly encoding: string;
  /** LC_COLLATE */
  readonly collate: string;
  /** LC_CTYPE */
  readonly ctype: string;
  /** `icu` from 15 on, `builtin` from 17 on. */
  readonly localeProvider: LocaleProvider;
  /** Locale of ICU (15+) or of the builtin provider (17+). */
  readonly locale: string | undefined;
  /** ICU rules (16+). */
  readonly icuRules: string | undefined;
  readonly tablespace: string;
  readonly isTemplate: boolean;
  readonly allowConnections: boolean;
  /** A DROP DATABASE was interrupted; connections are impossible. */
  readonly isInvalid: boolean;
  /** Whether the role has CONNECT. */
  readonly canConnect: boolean;
  readonly comment: string | undefined;
  /** The provider's own database, such as `rdsadmin`: never copied. */
  readonly providerInternal: boolean;
};

const sizeColumn = `
         CASE WHEN pg_catalog.has_database_privilege(d.oid, 'CONNECT')
                OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')
              THEN pg_catalog.pg_database_size(d.oid)::pg_catalog.float8 END AS size_bytes,`;

// version-dependent columns are read by name from the row as JSON
const statement = (withSizes: boolean) => `
  SELECT d.datname AS name, d.oid, pg_catalog.pg_get_userbyid(d.datdba) AS owner,
         ${withSizes ? sizeColumn.trim() : ""}
         pg_catalog.pg_encoding_to_char(d.encoding) AS encoding,
         d.datcollate AS collate, d.datctype AS ctype,
         CASE pg_catalog.to_jsonb(d) ->> 'datlocprovider'                -- 15+
              WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END AS locale_provider,
         coalesce(pg_catalog.to_jsonb(d) ->> 'datlocale',                -- 17+
                  pg_catalog.to_jsonb(d) ->> 'daticulocale') AS locale,  -- 15, 16
         pg_catalog.to_jsonb(d) ->> 'daticurules' AS icu_rules,          -- 16+
         t.spcname AS tablespace,
         d.datistemplate AS is_template, d.datallowconn AS allow_connections,
         d.datconnlimit = -2 AS is_invalid,
         pg_catalog.has_database_privilege(d.oid, 'CONNECT') AS can_connect,
         pg_catalog.shobj_description(d.oid, 'pg_database') AS comment
    FROM pg_catalog.pg_database AS d
    JOIN pg_catalog.pg_tablespace AS t ON t.oid = d.dattablespace
   ORDER BY d.datname COLLATE pg_catalog."C"`;

type DatabaseRow = {
  readonly name: string;
  readonly oid: number;
  readonly owner: string;
  readonly size_bytes?: number | null;
  readonly encoding: string;
  readonly collate: string;
  readonly ctype: string;
  readonly locale_provider: LocaleProvider;
  readonly locale: string | null;
  readonly icu_rules: string | null;
  readonly tablespace: string;
  readonly is_template: boolean;
  readonly allow_connections: boolean;
  readonly is_invalid: boolean;
  readonly can_connect: boolean;
  readonly comment: string | null;
};

/** What {@linkcode listDatabases} reads. */
export interface ListDatabasesOptions {
  /**
   * Whether to read the sizes: the server then looks at each file of each database.
   *
   * @default true
   */
  readonly withSizes?: boolean;
}

/**
 * All databases of the session's server by name, including templates and the provider's own, which
 * are marked.
 */
export async function listDatabases(
  session: Session,
  { withSizes = true }: ListDatabasesOptions = {},
): Promise<readonly Database[]> {
  const rows = await session.query<DatabaseRow>(statement(withSizes));
  return rows.map((row) => ({
    name: row.name,
    oid: row.oid,
    sizeBytes: row.size_bytes ?? undefined,
    owner: row.owner,
    encoding: row.encoding,
    collate: row.collate,
    ctype: row.ctype,
    localeProvider: row.locale_provider,
    locale: row.locale ?? undefined,
    icuRules: row.icu_rules ?? undefined,
    tablespace: row.tablespace,
    isTemplate: row.is_template,
    allowConnections: row.allow_connections,
    isInvalid: row.is_invalid,
    canConnect: row.can_connect,
    comment: row.comment ?? undefined,
    providerInternal: isProviderDatabase(row.name),
  }));
}
