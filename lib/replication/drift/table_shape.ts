/**
 * The tables of both sides, as far as replication depends on them. Only reads.
 *
 * @module
 */
import { cutoverSchema, ownSchemaList, type TableName } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import { notOfExtension } from "../../catalog/internal.ts";

/** A table with its columns, as far as replication depends on them. */
export interface TableShape extends TableName {
  /** A partitioned table has no rows of its own. */
  readonly partitioned: boolean;
  /** The partitioned tables above it. */
  readonly ancestors: readonly TableName[];
  readonly columns: readonly ColumnShape[];
}

/** A column. */
export interface ColumnShape {
  readonly name: string;
  /** As written in a table definition. */
  readonly type: string;
  readonly generated: boolean;
  /** Whether it is NOT NULL. */
  readonly notNull: boolean;
}

/** A table that one of the tool's publications lists. */
export interface PublishedShape extends TableName {
  readonly publication: string;
  /** Undefined before 15, where all columns are published. */
  readonly columns: readonly string[] | undefined;
}

const shapeStatement = `
  SELECT n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS name, c.relkind = 'p' AS partitioned,
         coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_object('schema', an.nspname, 'name', ac.relname))
                     FROM pg_catalog.pg_partition_ancestors(c.oid) AS a (oid)
                     JOIN pg_catalog.pg_class AS ac ON ac.oid = a.oid AND ac.oid <> c.oid
                     JOIN pg_catalog.pg_namespace AS an ON an.oid = ac.relnamespace), '[]') AS ancestors,
         coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', a.attname,
                                                     'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
                                                     'generated', a.attgenerated <> '',
                                                     'notNull', a.attnotnull)
                                   ORDER BY a.attnum)
                     FROM pg_catalog.pg_attribute AS a
                    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]') AS columns
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
     AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', ${ownSchemaList})
     AND ${notOfExtension("pg_class", "c.oid")}
   ORDER BY n.nspname::pg_catalog.text COLLATE pg_catalog."C", c.relname::pg_catalog.text COLLATE pg_catalog."C"`;

/** Reads the logged tables of the session's database that belong to no extension. */
export async function readShapes(session: Session): Promise<readonly TableShape[]> {
  const rows = await session.query<TableShape>(shapeStatement);
  return rows.map(({ schema, name, partitioned, ancestors, columns }) => ({
    schema,
    name,
    partitioned,
    ancestors,
    columns,
  }));
}

const publishedStatement = `
  SELECT t.pubname::pg_catalog.text AS publication, t.schemaname::pg_catalog.text AS schema, t.tablename::pg_catalog.text AS name,
         pg_catalog.to_jsonb(t) -> 'attnames' AS columns                              -- 15+
    FROM pg_catalog.pg_publication_tables AS t
   WHERE t.pubname::pg_catalog.text LIKE 'seren\\_%' AND t.schemaname <> '${cutoverSchema}'
   ORDER BY 1, t.schemaname::pg_catalog.text COLLATE pg_catalog."C", t.tablename::pg_catalog.text COLLATE pg_catalog."C"`;

/** Reads the tables that the tool's publications in the session's database list. */
export async function readPublished(session: Session): Promise<readonly PublishedShape[]> {
  const rows = await session.query<{
    readonly publication: string;
    readonly schema: string;
    readonly name: string;
    readonly columns: readonly string[] | null;
  }>(publishedStatement);
  return rows.map((row) => ({ ...row, columns: row.columns ?? undefined }));
}
