/**
 * Reads what table rules are resolved against: tables with their parents, foreign keys, and
 * dependents of tables.
 *
 * References to relations are taken from `pg_depend`, which records them from the parsed objects,
 * never from text.
 *
 * @module
 */
import { tableKey, type TableName } from "../../core/internal.ts";
import { catalogResultBytes, type Session } from "../../postgres/internal.ts";
import {
  type SourceColumn,
  type SourceDatabase,
  type SourceDependent,
  type SourceForeignKey,
  type SourceTable,
  type SourceTableKind,
} from "../../rules/internal.ts";

const tablesStatement = `
  SELECT n.nspname AS schema, c.relname AS name, c.oid,
         CASE c.relkind WHEN 'p' THEN 'partitioned' WHEN 'f' THEN 'foreign' ELSE 'table' END AS kind,
         c.relispartition AS is_partition,
         (SELECT e.extname
            FROM pg_catalog.pg_depend AS d
            JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
           WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.objsubid = 0
             AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'
           LIMIT 1) AS extension,
         EXISTS (SELECT FROM pg_catalog.pg_extension AS e
                  WHERE c.oid = ANY (e.extconfig)) AS is_configuration
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't'
     AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   ORDER BY n.nspname COLLATE pg_catalog."C", c.relname COLLATE pg_catalog."C"`;

const parentsStatement = `
  SELECT i.inhrelid AS oid, n.nspname AS schema, c.relname AS name
    FROM pg_catalog.pg_inherits AS i
    JOIN pg_catalog.pg_class AS c ON c.oid = i.inhparent
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p', 'f')
   ORDER BY i.inhrelid, i.inhseqno`;

// tables that a table's definition needs: through types of columns, defaults and checks, and from
// there through types, views and functions. Foreign keys, triggers and policies are created later
// and do not count.
const needsStatement = `
  WITH RECURSIVE part (classid, objid, refclassid, refobjid) AS (
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, adrelid, 'pg_catalog.pg_attrdef'::pg_catalog.regclass, oid FROM pg_catalog.pg_attrdef
    UNION ALL
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, conrelid, 'pg_catalog.pg_constraint'::pg_catalog.regclass, oid
      FROM pg_catalog.pg_constraint WHERE contype = 'c' AND conrelid <> 0
    UNION ALL
    SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, contypid, 'pg_catalog.pg_constraint'::pg_catalog.regclass, oid
      FROM pg_catalog.pg_constraint WHERE contypid <> 0
    UNION ALL
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, w.ev_class, 'pg_catalog.pg_rewrite'::pg_catalog.regclass, w.oid
      FROM pg_catalog.pg_rewrite AS w
      JOIN pg_catalog.pg_class AS v ON v.oid = w.ev_class AND v.relkind IN ('v', 'm')
    UNION ALL
    SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, oid, 'pg_catalog.pg_class'::pg_catalog.regclass, typrelid FROM pg_catalog.pg_type WHERE typrelid <> 0
    UNION ALL
    SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, oid, 'pg_catalog.pg_type'::pg_catalog.regclass, typelem
      FROM pg_catalog.pg_type WHERE typcategory = 'A' AND typelem <> 0
    UNION ALL
    SELECT classid, objid, refclassid, refobjid
      FROM pg_catalog.pg_depend
     WHERE deptype = 'n'
       AND refclassid IN ('pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_type'::pg_catalog.regclass, 'pg_catalog.pg_proc'::pg_catalog.regclass)
  ), reached (root, classid, objid) AS (
    SELECT c.oid, 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid, c.oid
      FROM pg_catalog.pg_class AS c
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    UNION
    SELECT reached.root, part.refclassid::pg_catalog.oid, part.refobjid
      FROM reached
      JOIN part ON part.classid = reached.classid AND part.objid = reached.objid
  )
  SELECT reached.root AS oid, n.nspname AS schema, c.relname AS name
    FROM reached
    JOIN pg_catalog.pg_class AS c ON reached.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = reached.objid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p', 'f') AND c.oid <> reached.root
     AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   ORDER BY n.nspname COLLATE pg_catalog."C", c.relname COLLATE pg_catalog."C"`;

const columnsStatement = `
  SELECT a.attrelid AS oid,
         pg_catalog.json_agg(pg_catalog.json_build_array(a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod))
                  ORDER BY a.attnum) AS columns
    FROM pg_catalog.pg_attribute AS a
    JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'f')
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE a.attnum > 0 AND NOT a.attisdropped
     AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   GROUP BY a.attrelid`;

// foreign keys that partitions inherit are created with the parent's
const foreignKeysStatement = `
  SELECT con.conname AS name,
         own_schema.nspname AS schema, own.relname AS "table",
         other_schema.nspname AS other_schema, other.relname AS other_table
    FROM pg_catalog.pg_constraint AS con
    JOIN pg_catalog.pg_class AS own ON own.oid = con.conrelid
    JOIN pg_catalog.pg_namespace AS own_schema ON own_schema.oid = own.relnamespace
    JOIN pg_catalog.pg_class AS other ON other.oid = con.confrelid
    JOIN pg_catalog.pg_namespace AS other_schema ON other_schema.oid = other.relnamespace
   WHERE con.contype = 'f' AND con.conparentid = 0
   ORDER BY own_schema.nspname COLLATE pg_catalog."C", own.relname COLLATE pg_catalog."C", con.conname COLLATE pg_catalog."C"`;

const dependentsStatement = `
  WITH relation AS (
    SELECT c.oid, c.relkind, n.nspname AS schema, c.relname AS name
      FROM pg_catalog.pg_class AS c
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S') AND c.relpersistence <> 't'
       AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  ), row_type AS (
    SELECT t.oid, t.typrelid AS relation
      FROM pg_catalog.pg_type AS t
      JOIN relation ON relation.oid = t.typrelid
    UNION ALL
    SELECT list.oid, t.typrelid
      FROM pg_catalog.pg_type AS list
      JOIN pg_catalog.pg_type AS t ON t.oid = list.typelem
      JOIN relation ON relation.oid = t.typrelid
     WHERE list.typcategory = 'A'
  ), used AS (
    SELECT d.classid, d.objid, d.objsubid, d.refobjid AS relation, d.refobjsubid, d.deptype
      FROM pg_catalog.pg_depend AS d
     WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('n', 'a', 'i')
    UNION
    SELECT d.classid, d.objid, d.objsubid, row_type.relation, 0, d.deptype
      FROM pg_catalog.pg_depend AS d
      JOIN row_type ON row_type.oid = d.refobjid
     WHERE d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.deptype = 'n'
  ), member AS (
    SELECT classid, objid FROM pg_catalog.pg_depend WHERE deptype = 'e' AND objsubid = 0
  )
  SELECT DISTINCT edge.kind, edge.schema, edge.name, edge.detail, edge.direction,
         other.schema AS other_schema, other.name AS other_name
    FROM (
      -- views, and rules of tables
      SELECT CASE r.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                            ELSE 'rule' END AS kind,
             r.schema, r.name, CASE WHEN r.relkind NOT IN ('v', 'm') THEN w.rulename END AS detail,
             'uses' AS direction, used.relation
        FROM used
        JOIN pg_catalog.pg_rewrite AS w ON used.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND w.oid = used.objid
        JOIN relation AS r ON r.oid = w.ev_class AND r.oid <> used.relation
       WHERE NOT EXISTS (SELECT FROM member
                          WHERE member.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND member.objid = r.oid)
      UNION ALL
      SELECT 'policy', r.schema, r.name, p.polname, 'uses', used.relation
        FROM used
        JOIN pg_catalog.pg_policy AS p ON used.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass AND p.oid = used.objid
        JOIN relation AS r ON r.oid = p.polrelid AND r.oid <> used.relation
      UNION ALL
      SELECT 'function', n.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid), 'uses', used.relation
        FROM used
        JOIN pg_catalog.pg_proc AS p ON used.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = used.objid
        JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
       WHERE NOT EXISTS (SELECT FROM member
                          WHERE member.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND member.objid = p.oid)
      UNION ALL
      -- the table that owns a sequence; found in pg_class by its index, because every index of a
      -- table depends on it too, and would be compared with every row of the CTE
      SELECT 'sequence', n.nspname, c.relname, NULL, 'uses', used.relation
        FROM used
        JOIN pg_catalog.pg_class AS c ON used.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = used.objid
                                     AND c.relkind = 'S' AND c.relpersistence <> 't'
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                                         AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       WHERE used.refobjsubid > 0 AND used.deptype IN ('a', 'i')
      UNION ALL
      -- the tables whose defaults call it
      SELECT 'sequence', n.nspname, c.relname, NULL, 'used by', a.adrelid
        FROM used
        JOIN pg_catalog.pg_attrdef AS a ON used.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND a.oid = used.objid
        JOIN pg_catalog.pg_class AS c ON c.oid = used.relation AND c.relkind = 'S' AND c.relpersistence <> 't'
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                                         AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    ) AS edge (kind, schema, name, detail, direction, relation)
    JOIN relation AS other ON other.oid = edge.relation
   ORDER BY edge.kind, edge.schema, edge.name, edge.detail, other_schema, other_name`;

type SourceTableRow = {
  readonly schema: string;
  readonly name: string;
  readonly oid: number;
  readonly kind: SourceTableKind;
  readonly is_partition: boolean;
  readonly extension: string | null;
  readonly is_configuration: boolean;
};

type NamedRow = { readonly oid: number; readonly schema: string; readonly name: string };

type ColumnsRow = {
  readonly oid: number;
  readonly columns: readonly (readonly [string, string])[];
};

type KeyRow = {
  readonly name: string;
  readonly schema: string;
  readonly table: string;
  readonly other_schema: string;
  readonly other_table: string;
};

type DependentRow = {
  readonly kind: SourceDependent["kind"];
  readonly schema: string;
  readonly name: string;
  readonly detail: string | null;
  readonly direction: "uses" | "used by";
  readonly other_schema: string;
  readonly other_name: string;
};

/**
 * Reads the session's database for table rules; inside a transaction as of its snapshot.
 */
export async function readSourceTables(session: Session): Promise<SourceDatabase> {
  // sent together, the queries cost one round trip
  const [{ name }, tables, parentRows, needRows, columnRows, keys, dependents] = await Promise.all([
    session.queryOne<{ name: string }>("SELECT pg_catalog.current_database() AS name"),
    session.query<SourceTableRow>(tablesStatement, [], { resultBytes: catalogResultBytes }),
    session.query<NamedRow>(parentsStatement),
    session.query<NamedRow>(needsStatement),
    session.query<ColumnsRow>(columnsStatement, [], { resultBytes: catalogResultBytes }),
    session.query<KeyRow>(foreignKeysStatement),
    session.query<DependentRow>(dependentsStatement),
  ]);
  const parents = byOid(parentRows);
  const needs = byOid(needRows);
  const columns = new Map(columnRows.map((row) => [row.oid, row.columns]));
  return {
    name,
    tables: tables.map((row): SourceTable => ({
      schema: row.schema,
      name: row.name,
      kind: row.kind,
      parents: parents.get(row.oid) ?? [],
      isPartition: row.is_partition,
      needs: needs.get(row.oid) ?? [],
      extension: row.extension ?? undefined,
      isExtensionConfiguration: row.is_configuration,
      columns: (columns.get(row.oid) ?? []).map(([name, type]): SourceColumn => ({ name, type })),
    })),
    foreignKeys: keys.map((row): SourceForeignKey => ({
      name: row.name,
      table: { schema: row.schema, name: row.table },
      references: { schema: row.other_schema, name: row.other_table },
    })),
    dependents: groupDependents(dependents),
  };
}

function byOid(rows: readonly NamedRow[]): ReadonlyMap<number, readonly TableName[]> {
  const names = new Map<number, TableName[]>();
  for (const { oid, schema, name } of rows) {
    names.set(oid, [...names.get(oid) ?? [], { schema, name }]);
  }
  return names;
}

function groupDependents(rows: readonly DependentRow[]): readonly SourceDependent[] {
  const dependents = new Map<
    string,
    SourceDependent & { uses: TableName[]; usedBy: TableName[] }
  >();
  for (const { kind, schema, name, detail, direction, other_schema, other_name } of rows) {
    const key = JSON.stringify([kind, tableKey({ schema, name }), detail]);
    const dependent = dependents.get(key) ??
      { kind, schema, name, ...(detail === null ? {} : { detail }), uses: [], usedBy: [] };
    dependents.set(key, dependent);
    (direction === "uses" ? dependent.uses : dependent.usedBy)
      .push({ schema: other_schema, name: other_name });
  }
  return [...dependents.values()];
}
