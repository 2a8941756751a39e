/**
 * Names that no session in UTF-8 can read or write.
 *
 * @module
 */
import { hasOpaqueBytes } from "../core/mod.ts";
import { queryBytes, type Session } from "../postgres/mod.ts";

/** A name in bytes that are no valid UTF-8, or that Unicode lacks. */
export interface UnreadableName {
  readonly kind: "schema" | "table" | "column" | "constraint";
  /** With such bytes as `decodeOpaque` has them. */
  readonly name: string;
}

const statement = `
  SELECT named.kind, named.name
    FROM (SELECT 1 AS place, 'schema' AS kind, nspname AS name FROM pg_catalog.pg_namespace
           UNION ALL
          SELECT 2, 'table', relname FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p', 'm', 'f')
           UNION ALL
          SELECT 3, 'column', a.attname
            FROM pg_catalog.pg_attribute AS a
            JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
           WHERE c.relkind IN ('r', 'p', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped
           UNION ALL
          SELECT 4, 'constraint', conname FROM pg_catalog.pg_constraint WHERE contype = 'f') AS named
   WHERE named.name::pg_catalog.text COLLATE pg_catalog."C" ~ '[^\\x01-\\x7f]'
   ORDER BY named.place, named.name COLLATE pg_catalog."C"`;

/** Those of the session's database, schemas first. In an encoding that is converted, all names beyond ASCII. */
export async function listUnreadableNames(session: Session): Promise<readonly UnreadableName[]> {
  const names = await queryBytes<UnreadableName>(session, statement);
  return names.filter(({ name }) => hasOpaqueBytes(name));
}
