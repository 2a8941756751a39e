/**
 * Catalog queries for objects that are computed with user-defined functions.
 *
 * Source: PostgreSQL documentation, "52.18. pg_depend": references of an expression are recorded
 * for the object that contains it.
 *
 * @module
 */
import { ownSchemaList } from "../../core/internal.ts";

const isUserSchema = (alias: string) =>
  `${alias}.nspname !~ '^pg_' AND ${alias}.nspname NOT IN ('information_schema', ${ownSchemaList})`;

/**
 * Objects that a copy or replication computes, with the functions that they call directly, through
 * operators, or through views.
 */
export function computedStatement(major: number): string {
  const statistics = major < 14 ? "" : `
    UNION ALL
    SELECT 'statistics', pg_catalog.format('%I.%I', n.nspname, s.stxname), tn.nspname, c.relname,
           'pg_catalog.pg_statistic_ext'::pg_catalog.regclass::pg_catalog.oid, s.oid
      FROM pg_catalog.pg_statistic_ext AS s
      JOIN pg_catalog.pg_namespace AS n ON n.oid = s.stxnamespace
      JOIN pg_catalog.pg_class AS c ON c.oid = s.stxrelid
      JOIN pg_catalog.pg_namespace AS tn ON tn.oid = c.relnamespace
     WHERE s.stxexprs IS NOT NULL`;
  return `
  WITH RECURSIVE root (kind, object, schema, name, classid, objid) AS (
    SELECT 'check constraint',
           CASE WHEN c.oid IS NULL THEN pg_catalog.format('domain %I.%I', tyn.nspname, ty.typname)
                ELSE pg_catalog.format('%I.%I.%I', n.nspname, c.relname, con.conname) END,
           n.nspname, c.relname,
           'pg_catalog.pg_constraint'::pg_catalog.regclass::pg_catalog.oid, con.oid
      FROM pg_catalog.pg_constraint AS con
      LEFT JOIN pg_catalog.pg_class AS c ON c.oid = con.conrelid
      LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
      LEFT JOIN pg_catalog.pg_type AS ty ON ty.oid = con.contypid
      LEFT JOIN pg_catalog.pg_namespace AS tyn ON tyn.oid = ty.typnamespace
     WHERE con.contype = 'c'
    UNION ALL
    SELECT 'generated column', pg_catalog.format('%I.%I.%I', n.nspname, c.relname, a.attname),
           n.nspname, c.relname,
           'pg_catalog.pg_attrdef'::pg_catalog.regclass::pg_catalog.oid, ad.oid
      FROM pg_catalog.pg_attrdef AS ad
      JOIN pg_catalog.pg_attribute AS a ON a.attrelid = ad.adrelid AND a.attnum = ad.adnum
      JOIN pg_catalog.pg_class AS c ON c.oid = ad.adrelid
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE a.attgenerated = 's'
    UNION ALL
    SELECT 'partition key', pg_catalog.format('%I.%I', n.nspname, c.relname), n.nspname, c.relname,
           'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid, c.oid
      FROM pg_catalog.pg_partitioned_table AS p
      JOIN pg_catalog.pg_class AS c ON c.oid = p.partrelid
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE p.partexprs IS NOT NULL
    UNION ALL
    SELECT 'index', pg_catalog.format('%I.%I', n.nspname, i.relname), n.nspname, c.relname,
           'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid, i.oid
      FROM pg_catalog.pg_index AS x
      JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid
      JOIN pg_catalog.pg_class AS c ON c.oid = x.indrelid
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE x.indexprs IS NOT NULL OR x.indpred IS NOT NULL
    UNION ALL
    SELECT 'materialized view', pg_catalog.format('%I.%I', n.nspname, c.relname), n.nspname, c.relname,
           'pg_catalog.pg_rewrite'::pg_catalog.regclass::pg_catalog.oid, w.oid
      FROM pg_catalog.pg_rewrite AS w
      JOIN pg_catalog.pg_class AS c ON c.oid = w.ev_class
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind = 'm' AND c.relispopulated
    UNION ALL
    SELECT 'trigger', pg_catalog.format('%I.%I.%I', n.nspname, c.relname, t.tgname), n.nspname, c.relname,
           'pg_catalog.pg_trigger'::pg_catalog.regclass::pg_catalog.oid, t.oid
      FROM pg_catalog.pg_trigger AS t
      JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE NOT t.tgisinternal AND t.tgenabled IN ('A', 'R')${statistics}
  ),
  reached (kind, object, schema, name, classid, objid) AS (
    SELECT kind, object, schema, name, classid, objid FROM root
    UNION
    SELECT r.kind, r.object, r.schema, r.name, next.classid, next.objid
      FROM reached AS r
     CROSS JOIN LATERAL (
       SELECT d.refclassid, d.refobjid
         FROM pg_catalog.pg_depend AS d
        WHERE d.classid = r.classid AND d.objid = r.objid AND d.refobjid >= 16384
          AND (d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass,
                                'pg_catalog.pg_operator'::pg_catalog.regclass)
               OR d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                  AND r.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass)
       UNION ALL
       SELECT 'pg_catalog.pg_rewrite'::pg_catalog.regclass, w.oid
         FROM pg_catalog.pg_rewrite AS w
         JOIN pg_catalog.pg_class AS v ON v.oid = w.ev_class
        WHERE r.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
          AND w.ev_class = r.objid AND v.relkind = 'v'
     ) AS next (classid, objid)
  )
  SELECT kind, object, schema, name,
         pg_catalog.json_agg(DISTINCT objid::pg_catalog.int8)::pg_catalog.text AS functions
    FROM reached
   WHERE classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND objid >= 16384
     AND (schema IS NULL OR schema !~ '^pg_' AND schema NOT IN ('information_schema', ${ownSchemaList}))
   GROUP BY kind, object, schema, name
   ORDER BY kind, object`;
}

/** Queries of materialized views, whose string literals may be queries themselves. */
export const queriesStatement = `
  SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS object, n.nspname AS schema, c.relname AS name,
         pg_catalog.pg_get_viewdef(c.oid) AS query
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.relkind = 'm' AND c.relispopulated AND ${isUserSchema("n")}
   ORDER BY n.nspname COLLATE pg_catalog."C", c.relname COLLATE pg_catalog."C"`;

/**
 * User-defined functions; with bodies for those in SQL and PL/pgSQL that have neither their own
 * search_path nor a parsed body (14+).
 */
export function functionsStatement(major: number): string {
  const parsed = major < 14 ? "" : "AND p.prosqlbody IS NULL";
  return `
  SELECT p.oid::pg_catalog.int8::pg_catalog.float8 AS oid, n.nspname AS schema, p.proname AS name,
         pg_catalog.format('%I.%I(%s)', n.nspname, p.proname,
                           pg_catalog.pg_get_function_identity_arguments(p.oid)) AS signature,
         CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END AS keyword,
         CASE WHEN l.lanname IN ('sql', 'plpgsql') ${parsed}
                   AND NOT EXISTS (SELECT FROM pg_catalog.unnest(p.proconfig) AS setting
                                    WHERE setting LIKE 'search\\_path=%')
              THEN p.prosrc END AS body,
         EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                  WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid
                    AND d.deptype = 'e') AS of_extension
    FROM pg_catalog.pg_proc AS p
    JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
   WHERE ${isUserSchema("n")}`;
}

/** Names that exist in user schemas only. */
export const namesStatement = `
  WITH named (kind, name, namespace) AS (
    SELECT 'relations', c.relname, c.relnamespace FROM pg_catalog.pg_class AS c
     WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p', 'S')
    UNION ALL
    SELECT 'functions', p.proname, p.pronamespace FROM pg_catalog.pg_proc AS p
    UNION ALL
    SELECT 'types', t.typname, t.typnamespace FROM pg_catalog.pg_type AS t
     WHERE t.typelem = 0 OR t.typname !~ '^_'
    UNION ALL
    SELECT 'operators', o.oprname, o.oprnamespace FROM pg_catalog.pg_operator AS o
  )
  SELECT named.kind, named.name,
         pg_catalog.json_agg(DISTINCT pg_catalog.quote_ident(n.nspname))::pg_catalog.text AS schemas
    FROM named
    JOIN pg_catalog.pg_namespace AS n ON n.oid = named.namespace
   GROUP BY named.kind, named.name
  HAVING NOT pg_catalog.bool_or(n.nspname = 'pg_catalog') AND pg_catalog.bool_or(${
  isUserSchema("n")
})`;
