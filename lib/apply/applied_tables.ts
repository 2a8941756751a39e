/**
 * What the statements for a table of the target depend on. Only reads.
 *
 * @module
 */
import {
  ownSchemaList,
  quoteIdentifier,
  quoteQualified,
  ReplicatorError,
  tableKey,
  type TableName,
} from "../core/internal.ts";
import { catalogResultBytes, type Session } from "../postgres/internal.ts";

/** A column of a table on the target. */
export interface TargetColumn {
  readonly name: string;
  /** OID of its type. */
  readonly type: number;
  /** OID of the type of arrays of it; 0 if there is none, as for arrays, or it is composite. */
  readonly arrayType: number;
  /** Separates the elements of such an array: a comma, except for `box`. */
  readonly delimiter: string;
  /** Its collation, qualified and quoted; undefined if the type has none. */
  readonly collation: string | undefined;
  /** Whether it is `GENERATED ALWAYS AS IDENTITY`: no UPDATE can set it. */
  readonly isIdentityAlways: boolean;
  /** Whether `=` of pg_catalog compares it. */
  readonly hasBuiltInEquality: boolean;
}

/** A unique constraint that is DEFERRABLE. */
export interface DeferrableKey {
  readonly name: string;
  readonly columns: readonly string[];
}

/** An exclusion constraint that is DEFERRABLE, or a unique one WITHOUT OVERLAPS. */
export interface DeferrableExclusion {
  readonly name: string;
  /** No two rows may compare like this in all parts. */
  readonly parts: readonly {
    /** SQL; a column, or what the index computes. */
    readonly expression: string;
    readonly operator_schema: string;
    readonly operator: string;
  }[];
  /** SQL; which rows it is about. */
  readonly predicate: string | null;
}

/** A table whose changes are applied. */
export interface MappedTable extends TableName {
  /** Whether rows are in its partitions. */
  readonly isPartitioned: boolean;
  /** Columns that can be written, by name: generated ones are omitted. */
  readonly columns: ReadonlyMap<string, TargetColumn>;
  /** Columns of its primary key; undefined without one, or if it is DEFERRABLE. */
  readonly primaryKey: readonly string[] | undefined;
  /** Unique constraints that are checked by a trigger, at COMMIT. */
  readonly deferrableKeys: readonly DeferrableKey[];
  /** The same for exclusion constraints. */
  readonly deferrableExclusions: readonly DeferrableExclusion[];
  /**
   * Operators by which unique indexes compare key columns, by the columns' names: `pg_catalog.=`,
   * qualified and quoted.
   */
  readonly keyOperators: ReadonlyMap<string, string>;
  /** Whether triggers of users fire for changes that are applied (`ENABLE ALWAYS`, `REPLICA`). */
  readonly firesTriggers: boolean;
  /** Whether some of them may fire at COMMIT. */
  readonly firesLateTriggers: boolean;
  /** Columns of each unique index by which one row can be found with such comparisons. */
  readonly uniqueIndexes: readonly (readonly string[])[];
}

// rules and views of the same name are refused: a change must reach exactly one table
const tableStatement = `
  SELECT n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS name, c.oid,
         c.relkind = 'p' AS is_partitioned,
         (SELECT pg_catalog.json_agg(a.attname::pg_catalog.text ORDER BY k.position)
            FROM pg_catalog.pg_index AS i
           CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k (attnum, position)
            JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.attnum
           WHERE i.indrelid = c.oid AND i.indisprimary AND i.indimmediate AND k.position <= i.indnkeyatts) AS primary_key,
         (SELECT pg_catalog.json_agg(d.key)
            FROM (SELECT pg_catalog.json_build_object(
                           'name', k.conname,
                           'columns', (SELECT pg_catalog.json_agg(a.attname)
                                         FROM pg_catalog.pg_attribute AS a
                                        WHERE a.attrelid = c.oid AND a.attnum = ANY (k.conkey))) AS key
                    FROM pg_catalog.pg_constraint AS k
                   WHERE k.conrelid = c.oid AND k.contype IN ('p', 'u') AND k.conexclop IS NULL AND k.condeferrable) AS d) AS deferrable_keys,
         (SELECT pg_catalog.json_agg(d.exclusion)
            FROM (SELECT pg_catalog.json_build_object(
                           'name', k.conname,
                           'parts', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                                              'expression', pg_catalog.pg_get_indexdef(i.indexrelid, e.position::int, false),
                                              'operator_schema', n.nspname, 'operator', o.oprname) ORDER BY e.position)
                                       FROM pg_catalog.unnest(k.conexclop) WITH ORDINALITY AS e (operator, position)
                                       JOIN pg_catalog.pg_operator AS o ON o.oid = e.operator
                                       JOIN pg_catalog.pg_namespace AS n ON n.oid = o.oprnamespace),
                           'predicate', pg_catalog.pg_get_expr(i.indpred, i.indrelid)) AS exclusion
                    FROM pg_catalog.pg_constraint AS k
                    JOIN pg_catalog.pg_index AS i ON i.indexrelid = k.conindid
                   WHERE k.conrelid = c.oid AND k.conexclop IS NOT NULL AND k.condeferrable) AS d) AS deferrable_exclusions,
         (SELECT pg_catalog.json_agg(u.columns)
            FROM (SELECT pg_catalog.json_agg(a.attname::pg_catalog.text ORDER BY k.position) AS columns
                    FROM pg_catalog.pg_index AS i
                   CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(i.indkey::pg_catalog.int2[]),
                                                 pg_catalog.unnest(i.indcollation::pg_catalog.oid[]))
                           WITH ORDINALITY AS k (attnum, collation_oid, position)
                    LEFT JOIN pg_catalog.pg_attribute AS a
                      ON a.attrelid = c.oid AND a.attnum = k.attnum AND a.attcollation = k.collation_oid
                   WHERE i.indrelid = c.oid AND i.indisunique AND i.indimmediate AND i.indisvalid
                     AND i.indpred IS NULL
                     AND k.position <= i.indnkeyatts
                   GROUP BY i.indexrelid
                  HAVING pg_catalog.bool_and(a.attnum > 0)) AS u) AS unique_indexes,
         triggers.fires AS fires_triggers, triggers.late AS fires_late_triggers
    FROM pg_catalog.json_to_recordset($1::pg_catalog.json) AS wanted (schema pg_catalog.text, name pg_catalog.text)
    JOIN pg_catalog.pg_namespace AS n ON n.nspname::pg_catalog.text = wanted.schema
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname::pg_catalog.text = wanted.name
   CROSS JOIN LATERAL (
         SELECT pg_catalog.count(*) > 0 AS fires, coalesce(pg_catalog.bool_or(g.tgdeferrable), false) AS late
           FROM pg_catalog.pg_trigger AS g
           JOIN pg_catalog.pg_proc AS f ON f.oid = g.tgfoid
           JOIN pg_catalog.pg_namespace AS fn ON fn.oid = f.pronamespace
          WHERE NOT g.tgisinternal AND g.tgenabled IN ('A', 'R')
            AND fn.nspname NOT IN (${ownSchemaList}) -- the fence of a cutover lets changes pass
            AND (g.tgrelid = c.oid OR g.tgrelid IN (SELECT p.relid FROM pg_catalog.pg_partition_tree(c.oid) AS p))
         ) AS triggers
   WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'`;

const columnStatement = `
  WITH RECURSIVE base (domain, oid, kind) AS (
    SELECT d.oid, b.oid, b.typtype
      FROM pg_catalog.pg_type AS d JOIN pg_catalog.pg_type AS b ON b.oid = d.typbasetype
     WHERE d.typtype = 'd'
    UNION
    SELECT base.domain, b.oid, b.typtype
      FROM base
      JOIN pg_catalog.pg_type AS d ON d.oid = base.oid AND d.typtype = 'd'
      JOIN pg_catalog.pg_type AS b ON b.oid = d.typbasetype
  )
  SELECT a.attrelid AS table_oid, a.attname::pg_catalog.text AS name, a.atttypid AS type,
         -- unnest() would expand composite values into their attributes
         CASE WHEN t.typtype = 'c' OR EXISTS (
                     SELECT FROM base WHERE base.domain = t.oid AND base.kind = 'c')
              THEN 0::pg_catalog.oid ELSE t.typarray END AS array_type,
         t.typdelim::pg_catalog.text AS delimiter,
         l.collname::pg_catalog.text AS collation, ln.nspname::pg_catalog.text AS collation_schema,
         a.attidentity = 'a' AS is_identity_always,
         t.typtype = 'b' AND t.typnamespace = 'pg_catalog'::pg_catalog.regnamespace
           AND EXISTS (SELECT FROM pg_catalog.pg_operator AS o
                        WHERE o.oprname = '=' AND o.oprleft = t.oid AND o.oprright = t.oid
                          AND o.oprnamespace = 'pg_catalog'::pg_catalog.regnamespace AND o.oprcanhash
                          AND o.oprresult = 'pg_catalog.bool'::pg_catalog.regtype) AS has_equality
    FROM pg_catalog.json_array_elements_text($1::pg_catalog.json) AS wanted (oid)
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = wanted.oid::pg_catalog.oid
    JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
    LEFT JOIN pg_catalog.pg_collation AS l ON l.oid = a.attcollation
    LEFT JOIN pg_catalog.pg_namespace AS ln ON ln.oid = l.collnamespace
   WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
   ORDER BY a.attrelid, a.attnum`;

// strategy 3 of btree is equality: PostgreSQL documentation, "36.16.2. Index Method Strategies"
const operatorStatement = `
  SELECT DISTINCT ON (i.indrelid, a.attname)
         i.indrelid AS table_oid, a.attname::pg_catalog.text AS name,
         n.nspname::pg_catalog.text AS operator_schema, o.oprname::pg_catalog.text AS operator
    FROM pg_catalog.json_array_elements_text($1::pg_catalog.json) AS wanted (oid)
    JOIN pg_catalog.pg_index AS i ON i.indrelid = wanted.oid::pg_catalog.oid
   CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(i.indkey::pg_catalog.int2[]),
                                 pg_catalog.unnest(i.indclass::pg_catalog.oid[]))
           WITH ORDINALITY AS k (attnum, class, position)
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    JOIN pg_catalog.pg_opclass AS oc ON oc.oid = k.class
    JOIN pg_catalog.pg_am AS am ON am.oid = oc.opcmethod AND am.amname = 'btree'
    JOIN pg_catalog.pg_amop AS ao ON ao.amopfamily = oc.opcfamily AND ao.amopstrategy = 3
                                 AND ao.amoplefttype = oc.opcintype AND ao.amoprighttype = oc.opcintype
    JOIN pg_catalog.pg_operator AS o ON o.oid = ao.amopopr
    JOIN pg_catalog.pg_namespace AS n ON n.oid = o.oprnamespace
   WHERE i.indisunique AND i.indpred IS NULL AND k.position <= i.indnkeyatts
   ORDER BY i.indrelid, a.attname, i.indisprimary DESC`;

type TargetTableRow = TableName & {
  readonly oid: number;
  readonly is_partitioned: boolean;
  readonly primary_key: readonly string[] | null;
  readonly deferrable_keys: readonly DeferrableKey[] | null;
  readonly deferrable_exclusions: readonly DeferrableExclusion[] | null;
  readonly unique_indexes: readonly (readonly string[])[] | null;
  readonly fires_triggers: boolean;
  readonly fires_late_triggers: boolean;
};

type ColumnRow = {
  readonly table_oid: number;
  readonly name: string;
  readonly type: number;
  readonly array_type: number;
  readonly delimiter: string;
  readonly collation: string | null;
  readonly collation_schema: string | null;
  readonly is_identity_always: boolean;
  readonly has_equality: boolean;
};

type OperatorRow = {
  readonly table_oid: number;
  readonly name: string;
  readonly operator_schema: string;
  readonly operator: string;
};

/**
 * Reads the tables of the session's database, by {@linkcode tableKey}. Tables that do not exist are
 * not in the map.
 */
export async function readTargetTables(
  session: Session,
  names: readonly TableName[],
): Promise<ReadonlyMap<string, MappedTable>> {
  const large = { resultBytes: catalogResultBytes };
  const wanted = JSON.stringify(names.map(({ schema, name }) => ({ schema, name })));
  const tables = await session.query<TargetTableRow>(tableStatement, [wanted], large);
  const oids = JSON.stringify(tables.map(({ oid }) => String(oid)));
  const columns = group(await session.query<ColumnRow>(columnStatement, [oids], large));
  const operators = group(await session.query<OperatorRow>(operatorStatement, [oids], large));
  return new Map(tables.map((table) => [tableKey(table), {
    schema: table.schema,
    name: table.name,
    isPartitioned: table.is_partitioned,
    primaryKey: table.primary_key ?? undefined,
    deferrableKeys: table.deferrable_keys ?? [],
    deferrableExclusions: table.deferrable_exclusions ?? [],
    uniqueIndexes: table.unique_indexes ?? [],
    firesTriggers: table.fires_triggers,
    firesLateTriggers: table.fires_late_triggers,
    columns: new Map((columns.get(table.oid) ?? []).map((column) => [column.name, {
      name: column.name,
      type: column.type,
      arrayType: column.array_type,
      delimiter: column.delimiter,
      collation: column.collation === null || column.collation_schema === null
        ? undefined
        : quoteQualified(column.collation_schema, column.collation),
      isIdentityAlways: column.is_identity_always,
      hasBuiltInEquality: column.has_equality,
    }])),
    keyOperators: new Map((operators.get(table.oid) ?? []).map((row) => [
      row.name,
      qualifiedOperator(row),
    ])),
  }]));
}

function group<Row extends { readonly table_oid: number }>(
  rows: readonly Row[],
): ReadonlyMap<number, readonly Row[]> {
  return Map.groupBy(rows, ({ table_oid }) => table_oid);
}

/** An operator's name cannot be quoted; it consists of these characters only. */
export function qualifiedOperator(
  { operator_schema: schema, operator }: Pick<OperatorRow, "operator_schema" | "operator">,
): string {
  if (/^[-+*/<>=~!@#%^&|`?]{1,63}$/.test(operator)) {
    return `${quoteIdentifier(schema)}.${operator}`;
  }
  throw new ReplicatorError(`the operator ${JSON.stringify(operator)} is not a valid name`, {
    side: "target",
  });
}

const nameStatement = `
  SELECT n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS name
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'`;

/** Reads the names of all tables of the session's database, as {@linkcode tableKey} makes them. */
export async function readTableKeys(session: Session): Promise<ReadonlySet<string>> {
  const rows = await session.query<TableName>(nameStatement, [], {
    resultBytes: catalogResultBytes,
  });
  return new Set(rows.map((table) => tableKey(table)));
}
