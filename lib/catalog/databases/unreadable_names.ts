/**
 * Finds names that no UTF-8 session can read or write.
 *
 * @module
 */
import { hasOpaqueBytes } from "../../core/internal.ts";
import { queryBytes, type Session } from "../../postgres/internal.ts";

/** A name in invalid UTF-8, or with characters that Unicode lacks. */
export interface UnreadableName {
  readonly kind:
    | "schema"
    | "table"
    | "sequence"
    | "column"
    | "type"
    | "attribute"
    | "constraint"
    | "event trigger"
    | "publication"
    | "role";
  /** With such bytes as `decodeOpaque` represents them. */
  readonly name: string;
}

/**
 * Names that the tool itself writes. Names of functions, views, indexes and the like, of types
 * without columns and of schemas without tables are copied as bytes, in pg_dump's statements.
 */
const statement = `
  SELECT named.kind, named.name
    FROM (SELECT 1 AS place, 'schema' AS kind, n.nspname AS name
            FROM pg_catalog.pg_namespace AS n
           WHERE EXISTS (SELECT FROM pg_catalog.pg_class AS c
                          WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'm', 'f', 'S'))
           UNION ALL
          SELECT 2, 'table', relname FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p', 'm', 'f')
           UNION ALL
          SELECT 3, 'sequence', relname FROM pg_catalog.pg_class WHERE relkind = 'S'
           UNION ALL
          SELECT 4, 'column', a.attname
            FROM pg_catalog.pg_attribute AS a
            JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
           WHERE c.relkind IN ('r', 'p', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped
           UNION ALL
          SELECT 5, 'type', t.typname
            FROM pg_catalog.pg_type AS t
           WHERE t.typelem = 0 AND EXISTS (
                   SELECT FROM pg_catalog.pg_attribute AS a
                     JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
                    WHERE c.relkind IN ('r', 'p', 'm', 'f', 'c') AND a.attnum > 0
                      AND NOT a.attisdropped AND a.atttypid IN (t.oid, t.typarray))
           UNION ALL
          SELECT 6, 'attribute', a.attname
            FROM pg_catalog.pg_attribute AS a
            JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
           WHERE c.relkind = 'c' AND a.attnum > 0 AND NOT a.attisdropped
           UNION ALL
          SELECT 7, 'constraint', conname FROM pg_catalog.pg_constraint WHERE contype = 'f'
           UNION ALL
          SELECT 8, 'event trigger', evtname FROM pg_catalog.pg_event_trigger
           UNION ALL
          SELECT 9, 'publication', pubname FROM pg_catalog.pg_publication
           UNION ALL
          SELECT 10, 'role', r.rolname
            FROM pg_catalog.pg_roles AS r
           WHERE EXISTS (
                   SELECT FROM pg_catalog.pg_shdepend AS d
                    WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.refobjid = r.oid
                      AND d.dbid = (SELECT b.oid FROM pg_catalog.pg_database AS b
                                     WHERE b.datname = pg_catalog.current_database()))) AS named
   WHERE named.name::pg_catalog.text COLLATE pg_catalog."C" ~ '[^\\x01-\\x7f]'
   ORDER BY named.place, named.name COLLATE pg_catalog."C"`;

const rolesStatement = `
  SELECT 'role' AS kind, rolname AS name FROM pg_catalog.pg_roles
   WHERE rolname::pg_catalog.text COLLATE pg_catalog."C" ~ '[^\\x01-\\x7f]'
   ORDER BY rolname COLLATE pg_catalog."C"`;

/**
 * The unreadable names of the session's database, schemas first; all non-ASCII names if its
 * encoding is one that sessions convert.
 */
export async function listUnreadableNames(session: Session): Promise<readonly UnreadableName[]> {
  return await readNames(session, statement);
}

/**
 * The unreadable role names of the session's server, whether or not they own objects in the
 * database.
 */
export async function listUnreadableRoles(session: Session): Promise<readonly UnreadableName[]> {
  return await readNames(session, rolesStatement);
}

async function readNames(session: Session, sql: string): Promise<readonly UnreadableName[]> {
  const names = await queryBytes<UnreadableName>(session, sql);
  return names.filter(({ name }) => hasOpaqueBytes(name));
}
