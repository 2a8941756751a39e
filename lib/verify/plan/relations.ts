/**
 * Reads the relations that contain rows (tables, partitions, materialized views), with the columns
 * and keys needed to compare them.
 *
 * @module
 */
import { readPlanningHazards } from "../../catalog/internal.ts";
import type { TableName } from "../../core/internal.ts";
import { catalogResultBytes, type Session } from "../../postgres/internal.ts";
import { readTypeShapes, type TypeShape } from "./type_shapes.ts";

/** A relation on one side. */
export interface ComparedRelation extends TableName {
  readonly oid: number;
  readonly kind: "table" | "partitioned table" | "materialized view" | "foreign table";
  /** False for a materialized view created WITH NO DATA. */
  readonly isPopulated: boolean;
  readonly isUnlogged: boolean;
  /** For a partition, its root table. */
  readonly root: TableName | undefined;
  /** Size of the table and its TOAST table, without indexes. */
  readonly bytes: number;
  /** The planner's estimate; undefined before ANALYZE. */
  readonly rowEstimate: number | undefined;
  /** The extension it belongs to. */
  readonly extension: string | undefined;
  /**
   * For an extension's configuration table: which rows belong to the user (`WHERE …`; empty for
   * all).
   */
  readonly extensionCondition: string | undefined;
  /** All columns including generated ones, in table order. */
  readonly columns: readonly RelationColumn[];
  /**
   * Columns that identify a row: of the primary key, else of a unique index on NOT NULL columns.
   */
  readonly key: readonly string[] | undefined;
  /**
   * Correlation of the physical row order with the key's first column, 0 to 1; undefined before
   * ANALYZE.
   */
  readonly keyCorrelation: number | undefined;
  /** Why reading it would run a user-defined function. */
  readonly hazard: string | undefined;
}

/** A column on one side. */
export interface RelationColumn {
  readonly name: string;
  /** As in a table definition: `numeric(10,2)`. */
  readonly type: string;
  /** The type's OID; for a domain, that of its base type. */
  readonly typeOid: number;
  readonly shape: TypeShape;
  /**
   * Whether the type, or the base type of a domain, is built in. Otherwise its operators may be
   * user-defined.
   */
  readonly isBuiltIn: boolean;
  /** The type's output function, if it is in `pg_catalog` and callable by name. */
  readonly output: string | undefined;
  /** Without type modifier. */
  readonly typeName: string;
  /** The function that returns the type's binary form, if that is the same on every server. */
  readonly send: string | undefined;
  /** Whether the type has a fixed length. */
  readonly isFixed: boolean;
  /** Whether its values sort alike on every server, so that ranges are comparable. */
  readonly isOrdered: boolean;
  readonly isNotNull: boolean;
  /** Whether it is a generated column. */
  readonly isGenerated: boolean;
  /** Whether it is generated on read (18+), which runs the user's expression. */
  readonly isVirtual: boolean;
  readonly isIdentityAlways: boolean;
}

const relationStatement = `
  WITH configuration AS (
    SELECT member.oid, member.condition
      FROM pg_catalog.pg_extension AS e
     CROSS JOIN LATERAL unnest(e.extconfig, e.extcondition) AS member (oid, condition)
  ), key AS (
    SELECT DISTINCT ON (i.indrelid) i.indrelid, columns.names
      FROM pg_catalog.pg_index AS i
     CROSS JOIN LATERAL (
       SELECT pg_catalog.json_agg(a.attname ORDER BY k.place) AS names, pg_catalog.array_agg(a.attname ORDER BY k.place) AS list,
              pg_catalog.bool_and(a.attnotnull) AS not_null
         FROM pg_catalog.unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
         JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
        WHERE k.place <= i.indnkeyatts
     ) AS columns
     WHERE i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
       AND columns.not_null
     ORDER BY i.indrelid, i.indisprimary DESC, i.indisreplident DESC, i.indnkeyatts,
              columns.list
  )
  SELECT n.nspname AS schema, c.relname AS name, c.oid,
         CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table'
                        WHEN 'm' THEN 'materialized view' ELSE 'foreign table' END AS kind,
         c.relispopulated AS is_populated, c.relpersistence = 'u' AS is_unlogged,
         root_schema.nspname AS root_schema, root.relname AS root_name,
         CASE WHEN c.relkind IN ('r', 'm') THEN coalesce(pg_catalog.pg_relation_size(c.oid), 0)::pg_catalog.float8
           + CASE WHEN c.reltoastrelid = 0 THEN 0
                  ELSE coalesce(pg_catalog.pg_relation_size(c.reltoastrelid), 0)::pg_catalog.float8 END
           ELSE 0 END AS bytes,
         CASE WHEN c.reltuples < 0 OR (c.reltuples = 0 AND c.relpages = 0) THEN NULL
              ELSE c.reltuples::pg_catalog.float8 END AS row_estimate,
         (SELECT e.extname FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
           WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.objsubid = 0
             AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'
           LIMIT 1) AS extension,
         configuration.condition AS extension_condition,
         key.names AS key,
         (SELECT pg_catalog.abs(pg_catalog.max(s.correlation))::pg_catalog.float8 FROM pg_catalog.pg_stats AS s
           WHERE s.schemaname = n.nspname AND s.tablename = c.relname
             AND s.attname = key.names ->> 0 AND NOT s.inherited) AS key_correlation
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_class AS root ON c.relispartition AND root.oid = pg_catalog.pg_partition_root(c.oid)
    LEFT JOIN pg_catalog.pg_namespace AS root_schema ON root_schema.oid = root.relnamespace
    LEFT JOIN configuration ON configuration.oid = c.oid
    LEFT JOIN key ON key.indrelid = c.oid
   WHERE c.relkind IN ('r', 'p', 'm', 'f') AND c.relpersistence <> 't'
     AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   ORDER BY n.nspname COLLATE pg_catalog."C", c.relname COLLATE pg_catalog."C"`;

// "portable" are types whose binary form contains nothing that a copy cannot preserve. That
// excludes arrays, which retain traces of an overwritten NULL; types with floats, whose NaN may
// have a sign; types with OIDs, which differ between servers; bit strings and text search types,
// which a copy rebuilds. "is_ordered" holds for numbers, timestamps and UUIDs, and for text in byte
// order.
const columnStatement = `
  WITH RECURSIVE base (oid, base) AS (
    SELECT oid, oid FROM pg_catalog.pg_type WHERE typtype <> 'd'
    UNION ALL
    SELECT d.oid, base.base FROM pg_catalog.pg_type AS d JOIN base ON base.oid = d.typbasetype WHERE d.typtype = 'd'
  ), portable AS (
    SELECT t.oid, send.proname AS send
      FROM pg_catalog.pg_type AS t
      JOIN pg_catalog.pg_proc AS send ON send.oid = t.typsend
     WHERE t.oid < 10000 AND t.typtype IN ('b', 'r', 'm') AND t.typcategory NOT IN ('A', 'G', 'V')
       AND t.typname !~ '^reg' AND t.typname NOT IN ('aclitem', 'tsvector', 'tsquery')
  ), byte_order AS (
    SELECT oid FROM pg_catalog.pg_collation WHERE collcollate IN ('C', 'POSIX')
    UNION ALL
    SELECT 100 FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database() AND datcollate IN ('C', 'POSIX')
       AND coalesce(pg_catalog.to_jsonb(pg_database) ->> 'datlocprovider', 'c') = 'c'
  )
  SELECT a.attrelid AS table_oid, a.attname AS name, base.base AS type_oid,
         pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, pg_catalog.format_type(a.atttypid, NULL) AS type_name,
         portable.send, t.typlen > 0 AS is_fixed,
         made_of.oid < 16384 AND made_of.typtype IN ('b', 'r', 'm') AS is_built_in,
         CASE WHEN output.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
               AND (t.oid = made_of.oid OR output.proargtypes[0] = made_of.oid) THEN output.proname END AS output,
         t.oid < 10000 AND (t.typname IN ('int2', 'int4', 'int8', 'oid', 'numeric', 'date',
                                          'timestamp', 'timestamptz', 'uuid')
           OR t.typname IN ('text', 'varchar') AND byte_order.oid IS NOT NULL) AS is_ordered,
         a.attnotnull AS is_not_null, a.attgenerated <> '' AS is_generated,
         a.attgenerated = 'v' AS is_virtual, a.attidentity = 'a' AS is_identity_always
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
    JOIN base ON base.oid = t.oid
    JOIN pg_catalog.pg_type AS made_of ON made_of.oid = base.base
    JOIN pg_catalog.pg_proc AS output ON output.oid = made_of.typoutput
    LEFT JOIN portable ON portable.oid = base.base
    LEFT JOIN byte_order ON byte_order.oid = a.attcollation
   WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't'
     AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   ORDER BY a.attrelid, a.attnum`;

type RelationRow = {
  readonly schema: string;
  readonly name: string;
  readonly oid: number;
  readonly kind: ComparedRelation["kind"];
  readonly is_populated: boolean;
  readonly is_unlogged: boolean;
  readonly root_schema: string | null;
  readonly root_name: string | null;
  readonly bytes: number;
  readonly row_estimate: number | null;
  readonly extension: string | null;
  readonly extension_condition: string | null;
  readonly key: readonly string[] | null;
  readonly key_correlation: number | null;
};

type ColumnRow = {
  readonly table_oid: number;
  readonly name: string;
  readonly type_oid: number;
  readonly type: string;
  readonly type_name: string;
  readonly send: string | null;
  readonly is_fixed: boolean;
  readonly is_built_in: boolean;
  readonly output: string | null;
  readonly is_ordered: boolean;
  readonly is_not_null: boolean;
  readonly is_generated: boolean;
  readonly is_virtual: boolean;
  readonly is_identity_always: boolean;
};

/**
 * Every relation of the session's database that may contain rows, ordered by schema and name,
 * except system and temporary ones.
 */
export async function readRelations(session: Session): Promise<readonly ComparedRelation[]> {
  const rows = await session.query<RelationRow>(relationStatement, [], {
    resultBytes: catalogResultBytes,
  });
  const hazards = await readPlanningHazards(session);
  const shapeOf = await readTypeShapes(session);
  const columns = new Map<number, RelationColumn[]>();
  for (
    const row of await session.query<ColumnRow>(columnStatement, [], {
      resultBytes: catalogResultBytes,
    })
  ) {
    const list = columns.get(row.table_oid) ?? [];
    columns.set(row.table_oid, list);
    list.push({
      name: row.name,
      type: row.type,
      typeOid: row.type_oid,
      shape: shapeOf(row.type_oid),
      isBuiltIn: row.is_built_in,
      output: row.output ?? undefined,
      typeName: row.type_name,
      send: row.send ?? undefined,
      isFixed: row.is_fixed,
      isOrdered: row.is_ordered,
      isNotNull: row.is_not_null,
      isGenerated: row.is_generated,
      isVirtual: row.is_virtual,
      isIdentityAlways: row.is_identity_always,
    });
  }
  return rows.map((row) => ({
    schema: row.schema,
    name: row.name,
    oid: row.oid,
    kind: row.kind,
    isPopulated: row.is_populated,
    isUnlogged: row.is_unlogged,
    root: row.root_schema === null || row.root_name === null
      ? undefined
      : { schema: row.root_schema, name: row.root_name },
    bytes: row.bytes,
    rowEstimate: row.row_estimate ?? undefined,
    extension: row.extension ?? undefined,
    extensionCondition: row.extension_condition ?? undefined,
    columns: columns.get(row.oid) ?? [],
    key: row.key ?? undefined,
    keyCorrelation: row.key_correlation ?? undefined,
    hazard: hazards.get(row.oid),
  }));
}
