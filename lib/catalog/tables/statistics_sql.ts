/**
 * SQL that the queries of planner statistics share.
 *
 * @module
 */

/**
 * The order of values under a column's collation, in words that two servers share: empty without
 * one. Versions of locales are not compared, because estimates tolerate what they change.
 *
 * @param majorVersion of the server that runs it
 * @param column `pg_attribute` with `attcollation`
 */
export function collationOrder(majorVersion: number, column: string): string {
  const [ofCollation, providerOfDatabase, ofDatabase] = majorVersion >= 17
    ? ["co.colllocale", "d.datlocprovider::pg_catalog.text", "d.datlocale"]
    : majorVersion >= 15
    ? ["co.colliculocale", "d.datlocprovider::pg_catalog.text", "d.daticulocale"]
    : ["NULL", "'c'::pg_catalog.text", "NULL"];
  return `coalesce((
           SELECT CASE WHEN pg_catalog.lower(l.locale) IN ('c', 'posix') AND l.provider <> 'i' THEN 'C'
                       ELSE l.provider || ':' || pg_catalog.replace(pg_catalog.lower(l.locale), '-', '') END
             FROM pg_catalog.pg_collation AS co
             JOIN pg_catalog.pg_database AS d ON d.datname = pg_catalog.current_database()
            CROSS JOIN LATERAL (
              SELECT CASE co.collprovider WHEN 'd' THEN ${providerOfDatabase}
                                          ELSE co.collprovider::pg_catalog.text END AS provider,
                     CASE co.collprovider WHEN 'd' THEN coalesce(${ofDatabase}, d.datcollate::pg_catalog.text)
                                          ELSE coalesce(${ofCollation}, co.collcollate::pg_catalog.text) END AS locale
            ) AS l
            WHERE co.oid = ${column}.attcollation), '')`;
}

/**
 * Tables with statistics that satisfy a condition: all that may be copied, and partitioned ones.
 */
export const ownTables = (condition: string) => `
  SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind,
         c.reltuples, c.relpages,
         EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhparent = c.oid) AS has_children,
         coalesce(pg_catalog.pg_relation_size(c.oid), 0) > 0 AS has_blocks
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND ${condition}`;

/**
 * One row for each statistic that ANALYZE of the tables that satisfy the condition would collect.
 * The expressions of their indexes are columns of the index.
 *
 * `untold` says why a statistic cannot be read: `unreadable`, or `type` if `pg_stats` does not show
 * all of it. Custom types may have statistics of their own kind; `pg_stats` shows those of ranges
 * from 17 on.
 */
export function expectedStatistics(
  majorVersion: number,
  condition: string,
): string {
  const hidden = majorVersion >= 17
    ? ""
    : " OR f.proname IN ('range_typanalyze', 'multirange_typanalyze')";
  return `
  WITH own_table AS (${ownTables(condition)}
  ), relation AS (
    SELECT t.oid AS table_oid, t.oid, t.schema, t.name, NULL::pg_catalog.int2vector AS expressions,
           t.kind = 'r' AND (t.has_blocks OR t.reltuples > 0) AS alone, t.has_children
      FROM own_table AS t
    UNION ALL
    SELECT t.oid, i.indexrelid, n.nspname, c.relname, i.indkey, t.has_blocks OR t.reltuples > 0, false
      FROM own_table AS t
      JOIN pg_catalog.pg_index AS i ON i.indrelid = t.oid AND i.indexprs IS NOT NULL AND i.indisvalid
      JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid AND c.relkind = 'i'
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE t.kind = 'r'
  )
    SELECT r.table_oid, r.oid, r.schema, r.name, r.expressions IS NOT NULL AS is_index, inherits.inherited,
           a.attnum, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
           ${collationOrder(majorVersion, "a")} AS sort_order,
           CASE WHEN NOT pg_catalog.has_column_privilege(r.oid, a.attnum, 'SELECT')
                  OR pg_catalog.row_security_active(r.table_oid) THEN 'unreadable'
                WHEN f.oid >= 16384${hidden} THEN 'type' END AS untold
      FROM relation AS r
      JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
      JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
      LEFT JOIN pg_catalog.pg_proc AS f ON f.oid = t.typanalyze
     CROSS JOIN (VALUES (false), (true)) AS inherits (inherited)
     WHERE CASE inherits.inherited WHEN true THEN r.has_children ELSE r.alone END
       AND (r.expressions IS NULL OR r.expressions[a.attnum - 1] = 0)
       AND coalesce(a.attstattarget, -1) <> 0`;
}
