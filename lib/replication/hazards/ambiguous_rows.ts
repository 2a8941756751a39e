/**
 * Rows that the target finds by comparing all columns although equal values may not be identical.
 *
 * @module
 */
import { displayName, quoteQualified, type TableName } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import { type Hazard, listDetails } from "./hazard.ts";

// `within` leads from a column's type to the types that its values consist of. Equality is not
// identity for numbers (1.0 and 1.00, 0.0 and -0.0), interval (1 day and 24 hours), bpchar without
// a length, jsonb (because of its numbers), and types of extensions and users.
const statement = `
  WITH RECURSIVE within (relation, attribute, type, coll, typmod) AS (
    SELECT a.attrelid, a.attnum, a.atttypid, a.attcollation, a.atttypmod
      FROM pg_catalog.pg_attribute AS a
      JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
     WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
       AND a.attrelid = ANY ($1::pg_catalog.oid[])
    UNION
    SELECT w.relation, w.attribute, inner_type.type, inner_type.coll, inner_type.typmod
      FROM within AS w
      JOIN pg_catalog.pg_type AS t ON t.oid = w.type
     CROSS JOIN LATERAL (
       SELECT t.typbasetype AS type, w.coll AS coll, t.typtypmod AS typmod WHERE t.typtype = 'd'
       UNION ALL
       SELECT t.typelem, w.coll, w.typmod WHERE t.typcategory = 'A' AND t.typelem <> 0
       UNION ALL
       SELECT r.rngsubtype, r.rngcollation, -1 FROM pg_catalog.pg_range AS r WHERE r.rngtypid = t.oid
       UNION ALL
       SELECT r.rngsubtype, r.rngcollation, -1 FROM pg_catalog.pg_range AS r
        WHERE (pg_catalog.to_jsonb(r) ->> 'rngmultitypid')::pg_catalog.oid = t.oid
       UNION ALL
       SELECT a.atttypid, a.attcollation, a.atttypmod FROM pg_catalog.pg_attribute AS a
        WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
     ) AS inner_type
  )
  SELECT n.nspname AS schema, c.relname AS name, a.attname AS column,
         pg_catalog.format_type(a.atttypid, a.atttypmod) AS type
    FROM within AS w
    JOIN pg_catalog.pg_class AS c ON c.oid = w.relation
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = w.relation AND a.attnum = w.attribute
    JOIN pg_catalog.pg_type AS t ON t.oid = w.type
    LEFT JOIN pg_catalog.pg_collation AS l ON l.oid = w.coll
   WHERE w.type IN ('pg_catalog.numeric'::pg_catalog.regtype, 'pg_catalog.float4'::pg_catalog.regtype,
                    'pg_catalog.float8'::pg_catalog.regtype, 'pg_catalog.interval'::pg_catalog.regtype,
                    'pg_catalog.jsonb'::pg_catalog.regtype)
      OR w.type = 'pg_catalog.bpchar'::pg_catalog.regtype AND w.typmod = -1
      OR NOT coalesce(l.collisdeterministic, true)
      OR t.typtype = 'b' AND t.oid >= 16384 AND t.typcategory <> 'A'
   GROUP BY n.nspname, c.relname, a.attname, a.attnum, a.atttypid, a.atttypmod
   ORDER BY n.nspname COLLATE pg_catalog."C", c.relname COLLATE pg_catalog."C", a.attnum`;

type AmbiguousColumn = TableName & { readonly column: string; readonly type: string };

/**
 * Finds tables whose rows cannot be distinguished by all columns: where `=` holds between rows that
 * differ, UPDATE and DELETE may change the wrong one on the target.
 */
export async function findAmbiguousRows(
  session: Session,
  /** OIDs of tables whose rows the target finds by comparing all columns. */
  tables: readonly number[],
): Promise<readonly Hazard[]> {
  if (tables.length === 0) return [];
  const columns = await session.query<AmbiguousColumn>(statement, [`{${tables.join(",")}}`]);
  const [first] = columns;
  if (first === undefined) return [];
  const name = quoteQualified(first.schema, first.name);
  return [{
    id: "ambiguous-rows",
    isCertain: false,
    finding:
      "the target finds rows of these tables by comparing all columns and cannot distinguish rows that are equal (=) without being " +
      `identical (1.0 and 1.00, 'A' and 'a'), so rows may differ from the source: ${
        listDetails(columns, ({ column, type }) => `${column} ${type}`)
      }`,
    remedy:
      `give ${displayName(first)} a primary key, or a unique index on NOT NULL columns with ` +
      `ALTER TABLE ${name} REPLICA IDENTITY USING INDEX …; to find affected rows: ` +
      `SELECT t FROM ${name} AS t GROUP BY t HAVING pg_catalog.count(DISTINCT pg_catalog.format('%s', t)) > 1; ` +
      "verify --repair corrects them at the cutover",
  }];
}
