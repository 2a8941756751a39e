import { type FactQuery, notOfExtension, privileges, sorted, USER_SCHEMA } from "./fact.ts";

/** Tables, views, indexes, sequences and their parts. */
export const RELATIONS: readonly FactQuery[] = [
  {
    kind: "relation",
    sql: (v) => `
SELECT n.nspname || '.' || c.relname AS name, c.relkind, c.relpersistence, pg_get_userbyid(c.relowner) AS owner,
  ${privileges("c.relacl", "r", "c.relowner", v)} AS privileges,
  ${sorted("c.reloptions")} AS options, ${sorted("t.reloptions")} AS toast_options,
  c.relreplident AS replica_identity,
  (SELECT i.indexrelid::regclass::text FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisreplident) AS replica_index,
  c.relrowsecurity, c.relforcerowsecurity, c.relispopulated, am.amname AS access_method,
  ty.typname AS of_type, c.relispartition,
  CASE WHEN c.relispartition THEN pg_get_expr(c.relpartbound, c.oid) END AS bound,
  pg_get_partkeydef(c.oid) AS partition_key,
  (SELECT string_agg(inhparent::regclass::text, ', ' ORDER BY inhseqno) FROM pg_inherits WHERE inhrelid = c.oid) AS parents
  ${
      v.same
        ? ", CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END AS definition"
        : ""
    }
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_class AS t ON t.oid = c.reltoastrelid
LEFT JOIN pg_am AS am ON am.oid = c.relam
LEFT JOIN pg_type AS ty ON ty.oid = c.reloftype
WHERE ${USER_SCHEMA} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND ${
      notOfExtension("pg_class", "c.oid")
    }`,
  },
  {
    kind: "column",
    sql: (v) => `
SELECT n.nspname || '.' || c.relname || '.' || a.attname AS name,
  -- Dropped columns leave gaps in attnum, and a copy has none.
  rank() OVER (PARTITION BY c.oid ORDER BY a.attnum) AS position,
  format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull, a.attidentity, a.attgenerated,
  pg_get_expr(d.adbin, d.adrelid) AS default_expression,
  co.collname AS collation, a.attstorage AS storage,
  ${v.oldest >= 14 ? "a.attcompression AS compression," : ""}
  COALESCE(a.attstattarget, -1) AS statistics,
  -- what a user can set; from November 2026 on servers keep pg_attver there too, which no dump mentions
  (SELECT string_agg(x, ', ' ORDER BY x COLLATE "C") FROM unnest(a.attoptions) AS x WHERE x ~ '^n_distinct') AS options,
  ${sorted("a.attfdwoptions")} AS fdw_options, a.attislocal, a.attinhcount,
  ${privileges("a.attacl", "c", "c.relowner", v)} AS privileges
FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_collation AS co ON co.oid = a.attcollation
WHERE ${USER_SCHEMA} AND a.attnum > 0 AND NOT a.attisdropped
  AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND ${notOfExtension("pg_class", "c.oid")}`,
  },
  {
    kind: "index",
    sql: () => `
SELECT n.nspname || '.' || c.relname AS name, pg_get_indexdef(i.indexrelid) AS definition, i.indisvalid, i.indisready,
  i.indisunique, i.indisprimary, i.indisexclusion, i.indimmediate, i.indisclustered, i.indisreplident,
  pg_get_userbyid(c.relowner) AS owner, ${sorted("c.reloptions")} AS options,
  (SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid = c.oid) AS parent,
  (SELECT string_agg(attnum || ':' || attstattarget, ' ' ORDER BY attnum) FROM pg_attribute
   WHERE attrelid = c.oid AND attstattarget >= 0) AS statistics
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE ${USER_SCHEMA} AND ${notOfExtension("pg_class", "i.indrelid")}`,
  },
  {
    kind: "constraint",
    sql: (v) => `
SELECT n.nspname || '.' || COALESCE(c.relname, t.typname) || '.' || k.conname AS name,
  k.contype AS type, pg_get_constraintdef(k.oid) AS definition, k.condeferrable, k.condeferred, k.convalidated,
  k.conislocal, k.coninhcount, k.connoinherit, ic.relname AS index
  ${v.oldest >= 18 ? ", k.conenforced" : ""}
FROM pg_constraint AS k JOIN pg_namespace AS n ON n.oid = k.connamespace
LEFT JOIN pg_class AS c ON c.oid = k.conrelid
LEFT JOIN pg_type AS t ON t.oid = k.contypid
LEFT JOIN pg_class AS ic ON ic.oid = k.conindid AND k.contype IN ('p', 'u', 'x')
WHERE ${USER_SCHEMA}
  -- Rows of their own since 18; before that they are columns' property alone.
  ${v.oldest >= 18 ? "" : "AND k.contype <> 'n'"}
  AND k.contype <> 't'
  -- One per partition that a key refers to: the server's own business, and so are their names.
  AND NOT EXISTS (SELECT FROM pg_constraint AS p WHERE p.oid = k.conparentid AND p.conrelid = k.conrelid)
  AND ${notOfExtension("pg_class", "k.conrelid")} AND ${notOfExtension("pg_type", "k.contypid")}`,
  },
  {
    kind: "trigger",
    sql: () => `
SELECT n.nspname || '.' || c.relname || '.' || t.tgname AS name, pg_get_triggerdef(t.oid) AS definition, t.tgenabled AS enabled
FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
-- Those of partitions are internal in some versions, and no dump mentions them unless they differ from the parent's.
WHERE ${USER_SCHEMA} AND (NOT t.tgisinternal OR (c.relispartition AND t.tgconstraint = 0))`,
  },
  {
    kind: "foreign key trigger",
    sql: () => `
SELECT n.nspname || '.' || c.relname || '.' || k.conname AS name,
  string_agg(t.tgenabled::text, '' ORDER BY t.tgenabled::text COLLATE "C") AS enabled
FROM pg_trigger AS t JOIN pg_constraint AS k ON k.oid = t.tgconstraint
JOIN pg_class AS c ON c.oid = k.conrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE ${USER_SCHEMA} AND t.tgisinternal AND k.contype = 'f' GROUP BY n.nspname, c.relname, k.conname
HAVING bool_or(t.tgenabled <> 'O')`,
  },
  {
    kind: "rule",
    sql: (v) => `
SELECT n.nspname || '.' || c.relname || '.' || r.rulename AS name, r.ev_type, r.is_instead, r.ev_enabled AS enabled
  ${v.same ? ", pg_get_ruledef(r.oid) AS definition" : ""}
FROM pg_rewrite AS r JOIN pg_class AS c ON c.oid = r.ev_class JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE ${USER_SCHEMA} AND r.rulename <> '_RETURN' AND ${notOfExtension("pg_class", "c.oid")}`,
  },
  {
    kind: "policy",
    sql: (v) => `
SELECT n.nspname || '.' || c.relname || '.' || p.polname AS name, p.polcmd, p.polpermissive,
  (SELECT string_agg(CASE r WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(r)::text END, ', '
     ORDER BY pg_get_userbyid(r)::text COLLATE "C") FROM unnest(p.polroles) AS r) AS roles
  ${
      v.same
        ? ", pg_get_expr(p.polqual, p.polrelid) AS qual, pg_get_expr(p.polwithcheck, p.polrelid) AS with_check"
        : ""
    }
FROM pg_policy AS p JOIN pg_class AS c ON c.oid = p.polrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE ${USER_SCHEMA}`,
  },
  {
    kind: "sequence",
    sql: (v) => `
SELECT n.nspname || '.' || c.relname AS name, format_type(s.seqtypid, NULL) AS type, s.seqstart, s.seqincrement,
  s.seqmin, s.seqmax, s.seqcache, s.seqcycle, pg_get_userbyid(c.relowner) AS owner, c.relpersistence,
  ${privileges("c.relacl", "s", "c.relowner", v)} AS privileges,
  (SELECT d.refobjid::regclass || '.' || a.attname || ' ' || d.deptype::text FROM pg_depend AS d
   JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
   WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
     AND d.refclassid = 'pg_class'::regclass) AS owned_by
FROM pg_sequence AS s JOIN pg_class AS c ON c.oid = s.seqrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE ${USER_SCHEMA} AND ${notOfExtension("pg_class", "c.oid")}`,
  },
  {
    kind: "extended statistics",
    sql: () => `
SELECT n.nspname || '.' || s.stxname AS name, pg_get_statisticsobjdef(s.oid) AS definition,
  pg_get_userbyid(s.stxowner) AS owner,
  COALESCE((to_jsonb(s) ->> 'stxstattarget')::integer, -1) AS target
FROM pg_statistic_ext AS s JOIN pg_namespace AS n ON n.oid = s.stxnamespace WHERE ${USER_SCHEMA}`,
  },
];
