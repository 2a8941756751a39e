/**
 * Reads row types that columns contain.
 *
 * A row value is sent as its attributes in order, without names. If the servers have them in
 * different orders, values arrive in the wrong attributes, without an error where the types match.
 *
 * @module
 */
import { displayName, tableKey, type TableName } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";

/** A table or composite type whose row type is part of a column's type. */
export interface StoredRowType extends TableName {
  /** Its attributes, in order. */
  readonly attributes: readonly string[];
}

// types of columns, and the parts of arrays, domains, ranges and row types
const statement = `
  WITH RECURSIVE needed (oid) AS (
    SELECT a.atttypid
      FROM pg_catalog.pg_class AS c
      JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid
     WHERE c.relkind IN ('r', 'p', 'f', 'm') AND a.attnum > 0 AND NOT a.attisdropped
       AND c.relnamespace <> 'pg_catalog'::pg_catalog.regnamespace
    UNION
    SELECT part.oid
      FROM needed
      JOIN pg_catalog.pg_type AS t ON t.oid = needed.oid
     CROSS JOIN LATERAL (
       SELECT t.typbasetype WHERE t.typtype = 'd'
       UNION ALL SELECT t.typelem WHERE t.typtype = 'b' AND t.typelem <> 0
       UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range AS r WHERE r.rngtypid = t.oid MULTIRANGES
       UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute AS a
                  WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
     ) AS part (oid)
  )
  SELECT n.nspname AS schema, c.relname AS name,
         pg_catalog.array_to_json(ARRAY(
           SELECT a.attname FROM pg_catalog.pg_attribute AS a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum)) AS attributes
    FROM needed
    JOIN pg_catalog.pg_type AS t ON t.oid = needed.oid AND t.typtype = 'c'
    JOIN pg_catalog.pg_class AS c ON c.oid = t.typrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace`;

const ofMultiranges = "OR r.rngmultitypid = t.oid";

/** Reads the stored row types of the session's database. */
export async function readStoredRowTypes(session: Session): Promise<readonly StoredRowType[]> {
  return await session.query<StoredRowType & Record<string, unknown>>(
    statement.replace("MULTIRANGES", session.majorVersion >= 14 ? ofMultiranges : ""),
  );
}

/**
 * Names of row types whose attributes differ in order between the sides. Pure.
 */
export function differentlyOrdered(
  source: readonly StoredRowType[],
  target: readonly StoredRowType[],
): readonly string[] {
  const onTarget = new Map(target.map((type) => [tableKey(type), type.attributes]));
  return source.filter((type) => {
    const attributes = onTarget.get(tableKey(type));
    return attributes !== undefined &&
      (attributes.length !== type.attributes.length ||
        attributes.some((name, index) => name !== type.attributes[index]));
  }).map(displayName);
}
