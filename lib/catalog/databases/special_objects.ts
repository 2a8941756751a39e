/**
 * Counts objects that a copy treats specially.
 *
 * @module
 */
import type { Session } from "../../postgres/internal.ts";
import { notOfExtension } from "../extension_members.ts";

/** Objects of a database other than tables, without those of extensions. */
export type SpecialObjects = {
  readonly views: number;
  readonly materializedViews: number;
  readonly functions: number;
  readonly foreignTables: readonly string[];
  /** User mappings: their passwords are part of dumps. */
  readonly userMappings: number;
  /** Names of enabled event triggers. */
  readonly eventTriggers: readonly string[];
  readonly publications: readonly string[];
  readonly subscriptions: readonly string[];
  /** Tablespaces of tables and indexes, except the default. */
  readonly tablespaces: readonly string[];
};

const statement = `
  WITH relation AS (
    SELECT c.relkind, c.relname, n.nspname, c.reltablespace
      FROM pg_catalog.pg_class AS c
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relpersistence <> 't'
       AND ${notOfExtension("pg_class", "c.oid")}
  )
  SELECT (SELECT pg_catalog.count(*)::int FROM relation WHERE relkind = 'v') AS views,
         (SELECT pg_catalog.count(*)::int FROM relation WHERE relkind = 'm') AS materialized_views,
         (SELECT pg_catalog.count(*)::int FROM pg_catalog.pg_proc AS p
            JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
           WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                              WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid
                                AND d.deptype IN ('e', 'i'))) AS functions,
         (SELECT coalesce(pg_catalog.json_agg(CASE nspname WHEN 'public' THEN pg_catalog.quote_ident(relname)
                                   ELSE pg_catalog.format('%I.%I', nspname, relname) END
                                   ORDER BY nspname, relname), '[]')
            FROM relation WHERE relkind = 'f') AS foreign_tables,
         (SELECT pg_catalog.count(*)::int FROM pg_catalog.pg_user_mappings) AS user_mappings,
         (SELECT coalesce(pg_catalog.json_agg(evtname ORDER BY evtname), '[]') FROM pg_catalog.pg_event_trigger AS t
           WHERE evtenabled <> 'D'
             AND ${notOfExtension("pg_event_trigger", "t.oid")}) AS event_triggers,
         (SELECT coalesce(pg_catalog.json_agg(pubname ORDER BY pubname), '[]')
            FROM pg_catalog.pg_publication) AS publications,
         (SELECT coalesce(pg_catalog.json_agg(subname ORDER BY subname), '[]') FROM pg_catalog.pg_subscription
           WHERE subdbid = (SELECT oid FROM pg_catalog.pg_database
                             WHERE datname = pg_catalog.current_database())) AS subscriptions,
         (SELECT coalesce(pg_catalog.json_agg(DISTINCT s.spcname), '[]')
            FROM relation JOIN pg_catalog.pg_tablespace AS s ON s.oid = relation.reltablespace) AS tablespaces`;

type SpecialRow = {
  readonly views: number;
  readonly materialized_views: number;
  readonly functions: number;
  readonly foreign_tables: readonly string[];
  readonly user_mappings: number;
  readonly event_triggers: readonly string[];
  readonly publications: readonly string[];
  readonly subscriptions: readonly string[];
  readonly tablespaces: readonly string[];
};

/** Reads the special objects of the session's database. */
export async function readSpecialObjects(session: Session): Promise<SpecialObjects> {
  const row = await session.queryOne<SpecialRow>(statement);
  return {
    views: row.views,
    materializedViews: row.materialized_views,
    functions: row.functions,
    foreignTables: row.foreign_tables,
    userMappings: row.user_mappings,
    eventTriggers: row.event_triggers,
    publications: row.publications,
    subscriptions: row.subscriptions,
    tablespaces: row.tablespaces,
  };
}

/** Names of a server's tablespaces. */
export async function listTablespaces(session: Session): Promise<readonly string[]> {
  const rows = await session.query<{ name: string }>(
    `SELECT spcname AS name FROM pg_catalog.pg_tablespace ORDER BY spcname COLLATE pg_catalog."C"`,
  );
  return rows.map(({ name }) => name);
}
