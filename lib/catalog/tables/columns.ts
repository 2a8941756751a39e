/**
 * Reads the columns of tables whose values are copied.
 *
 * @module
 */
import { catalogResultBytes, type Session, textArray } from "../../postgres/internal.ts";
import { hasPortableBinaryForm, type TypeFacts } from "./binary_types.ts";

/** A column whose values are copied. */
export type TableColumn = {
  readonly name: string;
  readonly typeOid: number;
  /** As `format_type` prints it: `numeric(10,2)`, `app."Mood"[]`. */
  readonly typeName: string;
  /** Whether its binary COPY format is the same on every server. */
  readonly portableBinary: boolean;
};

const columnStatement = `
  SELECT a.attrelid AS table_oid, a.attname AS name, a.atttypid AS type_oid,
         pg_catalog.format_type(a.atttypid, a.atttypmod) AS type_name
    FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS wanted (oid)
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = wanted.oid
   WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
   ORDER BY a.attrelid, a.attnum`;

// arrays, domains, ranges and composites with their parts
const typeStatement = `
  WITH RECURSIVE needed (oid) AS (
    SELECT DISTINCT a.atttypid
      FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS wanted (oid)
      JOIN pg_catalog.pg_attribute AS a ON a.attrelid = wanted.oid
     WHERE a.attnum > 0 AND NOT a.attisdropped
    UNION
    SELECT part.oid
      FROM needed
      JOIN pg_catalog.pg_type AS t ON t.oid = needed.oid
     CROSS JOIN LATERAL (
       SELECT t.typbasetype WHERE t.typtype = 'd'
       UNION ALL SELECT t.typelem WHERE t.typtype = 'b' AND t.typcategory = 'A'
       UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range AS r WHERE r.rngtypid = t.oid
       UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute AS a
                  WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
     ) AS part (oid)
  )
  SELECT t.oid, t.typname AS name, t.typtype AS kind, t.typtype = 'b' AND t.typcategory = 'A' AS is_array,
         t.typsend::pg_catalog.oid <> 0 AND t.typreceive::pg_catalog.oid <> 0 AS has_binary_form,
         CASE WHEN t.typtype = 'd' THEN pg_catalog.json_build_array(t.typbasetype)
              WHEN t.typtype = 'b' AND t.typcategory = 'A' THEN pg_catalog.json_build_array(t.typelem)
              WHEN t.typtype = 'r' THEN
                   (SELECT pg_catalog.json_build_array(r.rngsubtype) FROM pg_catalog.pg_range AS r
                     WHERE r.rngtypid = t.oid)
              WHEN t.typtype = 'c' THEN
                   (SELECT pg_catalog.json_agg(a.atttypid ORDER BY a.attnum) FROM pg_catalog.pg_attribute AS a
                     WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped)
         END AS parts
    FROM needed
    JOIN pg_catalog.pg_type AS t ON t.oid = needed.oid`;

type ColumnRow = {
  readonly table_oid: number;
  readonly name: string;
  readonly type_oid: number;
  readonly type_name: string;
};

type TypeRow = {
  readonly oid: number;
  readonly name: string;
  readonly kind: string;
  readonly is_array: boolean;
  readonly has_binary_form: boolean;
  readonly parts: readonly (number | string)[] | null;
};

/**
 * The columns to copy, by the table's OID; tables without such columns are not in the map.
 */
export async function readColumns(
  session: Session,
  tableOids: readonly number[],
): Promise<ReadonlyMap<number, readonly TableColumn[]>> {
  const oids = textArray(tableOids.map(String));
  const [types, rows] = await Promise.all([
    readTypeFacts(session, oids),
    session.query<ColumnRow>(columnStatement, [oids], { resultBytes: catalogResultBytes }),
  ]);
  const byTable = new Map<number, TableColumn[]>();
  for (const row of rows) {
    const columns = byTable.get(row.table_oid) ?? [];
    byTable.set(row.table_oid, columns);
    columns.push({
      name: row.name,
      typeOid: row.type_oid,
      typeName: row.type_name,
      portableBinary: hasPortableBinaryForm(row.type_oid, types),
    });
  }
  return byTable;
}

async function readTypeFacts(
  session: Session,
  oids: string,
): Promise<ReadonlyMap<number, TypeFacts>> {
  const rows = await session.query<TypeRow>(typeStatement, [oids]);
  return new Map(rows.map((row) => [row.oid, {
    name: row.name,
    kind: row.kind,
    isArray: row.is_array,
    hasBinaryForm: row.has_binary_form,
    // OIDs in JSON are numbers or text, depending on the version
    parts: (row.parts ?? []).map(Number),
  }]));
}
