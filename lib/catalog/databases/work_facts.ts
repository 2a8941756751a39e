/**
 * Reads the work in a database, to predict how long it takes.
 *
 * @module
 */
import type { TableName } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import { notOfExtension } from "../extension_members.ts";

/** An index or key that will be built. */
export interface IndexFacts {
  /** The table or partition. */
  readonly table: TableName;
  readonly bytes: number;
  /**
   * Its columns; undefined for an expression index, a partial index, or a kind other than btree.
   */
  readonly columns: readonly string[] | undefined;
}

/** The amount of rows of a table. */
export interface TableWorkFacts {
  readonly table: TableName;
  /**
   * Estimated bytes of live rows, without bloat.
   */
  readonly liveBytes: number;
}

/** The work in a database. */
export interface WorkFacts {
  readonly tables: readonly TableWorkFacts[];
  readonly indexes: readonly IndexFacts[];
  /** Foreign keys, with the bytes of the tables that validation reads. */
  readonly foreignKeys: readonly { readonly table: TableName; readonly bytes: number }[];
  readonly sequences: number;
  readonly roles: number;
  readonly materializedViews: number;
  /** Views, functions, triggers, rules and policies: about one statement each. */
  readonly otherObjects: number;
  readonly largeObjectBytes: number;
}

// a row has a header of 24 bytes, a line pointer of 4, and the average widths of ANALYZE. pg_stats
// hides columns that are not readable: then all bytes count as live.
const statement = `
  WITH own AS (
    SELECT c.oid, c.relname, c.relkind, c.reltuples, c.reltoastrelid, n.nspname
      FROM pg_catalog.pg_class AS c
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND c.relpersistence <> 't'
       AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND ${notOfExtension("pg_class", "c.oid")}
  ), width AS (
    SELECT s.schemaname, s.tablename, pg_catalog.sum(s.avg_width * (1 - s.null_frac)) AS bytes, pg_catalog.count(*) AS columns
      FROM pg_catalog.pg_stats AS s
     WHERE NOT s.inherited
     GROUP BY s.schemaname, s.tablename
  ), sized AS (
    SELECT own.nspname, own.relname, own.reltuples, width.bytes AS width, width.columns,
           coalesce(pg_catalog.pg_relation_size(own.oid), 0)::pg_catalog.float8 AS heap,
           CASE own.reltoastrelid WHEN 0 THEN 0
                ELSE coalesce(pg_catalog.pg_relation_size(own.reltoastrelid), 0)::pg_catalog.float8 END AS toast,
           (SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute AS a
             WHERE a.attrelid = own.oid AND a.attnum > 0 AND NOT a.attisdropped) AS all_columns
      FROM own
      LEFT JOIN width ON width.schemaname = own.nspname AND width.tablename = own.relname
     WHERE own.relkind = 'r'
  )
  SELECT (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
                   'schema', nspname, 'name', relname,
                   'live', toast + CASE WHEN reltuples >= 0 AND columns = all_columns
                                        THEN least(heap, reltuples * (width + 28)) ELSE heap END)), '[]')
            FROM sized) AS tables,
         (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
                   'schema', own.nspname, 'name', own.relname,
                   'bytes', coalesce(pg_catalog.pg_relation_size(i.indexrelid), 0)::pg_catalog.float8,
                   'columns', CASE WHEN i.indexprs IS NULL AND i.indpred IS NULL
                                    AND am.amname = 'btree' THEN (
                     SELECT pg_catalog.json_agg(a.attname ORDER BY key.position)
                       FROM pg_catalog.unnest(i.indkey) WITH ORDINALITY AS key (attnum, position)
                       JOIN pg_catalog.pg_attribute AS a
                         ON a.attrelid = i.indrelid AND a.attnum = key.attnum) END)), '[]')
            FROM pg_catalog.pg_index AS i
            JOIN own ON own.oid = i.indrelid AND own.relkind = 'r'
            JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
            JOIN pg_catalog.pg_am AS am ON am.oid = c.relam) AS indexes,
         (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
                   'schema', own.nspname, 'name', own.relname,
                   'bytes', coalesce(pg_catalog.pg_relation_size(con.conrelid), 0)::pg_catalog.float8)), '[]')
            FROM pg_catalog.pg_constraint AS con
            JOIN own ON own.oid = con.conrelid
           WHERE con.contype = 'f') AS foreign_keys,
         (SELECT pg_catalog.count(*)::int FROM own WHERE relkind = 'S') AS sequences,
         (SELECT pg_catalog.count(*)::int FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_') AS roles,
         (SELECT pg_catalog.count(*)::int FROM own WHERE relkind = 'm') AS materialized_views,
         (SELECT pg_catalog.count(*)::int FROM own WHERE relkind = 'v')
           + (SELECT pg_catalog.count(*)::int FROM pg_catalog.pg_trigger AS t
                JOIN own ON own.oid = t.tgrelid WHERE NOT t.tgisinternal)
           + (SELECT pg_catalog.count(*)::int FROM pg_catalog.pg_policy AS p JOIN own ON own.oid = p.polrelid)
           + (SELECT pg_catalog.count(*)::int FROM pg_catalog.pg_proc AS p
                JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
               WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
                 AND ${notOfExtension("pg_proc", "p.oid")}) AS other_objects,
         pg_catalog.pg_relation_size('pg_catalog.pg_largeobject')::pg_catalog.float8 AS large_object_bytes`;

type NamedBytes = TableName & { readonly bytes: number };

type FactsRow = {
  readonly tables: readonly (TableName & { readonly live: number })[];
  readonly indexes: readonly (NamedBytes & { readonly columns: readonly string[] | null })[];
  readonly foreign_keys: readonly NamedBytes[];
  readonly sequences: number;
  readonly roles: number;
  readonly materialized_views: number;
  readonly other_objects: number;
  readonly large_object_bytes: number;
};

/** Estimates the work in the session's database, without scanning tables. */
export async function readWorkFacts(session: Session): Promise<WorkFacts> {
  const row = await session.queryOne<FactsRow>(statement);
  return {
    tables: row.tables.map(({ schema, name, live }) => ({
      table: { schema, name },
      liveBytes: live,
    })),
    indexes: row.indexes.map(({ schema, name, bytes, columns }) => ({
      table: { schema, name },
      bytes,
      columns: columns ?? undefined,
    })),
    foreignKeys: row.foreign_keys.map(({ schema, name, bytes }) => ({
      table: { schema, name },
      bytes,
    })),
    sequences: row.sequences,
    roles: row.roles,
    materializedViews: row.materialized_views,
    otherObjects: row.other_objects,
    largeObjectBytes: row.large_object_bytes,
  };
}
