import {
  explode,
  type FactQuery,
  notOfExtension,
  privileges,
  sorted,
  USER_SCHEMA,
} from "./fact.ts";

/** The database itself and objects that belong to no table. */
export const DATABASE: readonly FactQuery[] = [
  {
    kind: "database",
    sql: (v) => `
SELECT 'the database' AS name, pg_get_userbyid(d.datdba) AS owner, pg_encoding_to_char(d.encoding) AS encoding,
  d.datcollate, d.datctype, COALESCE(to_jsonb(d) ->> 'datlocprovider', 'c') AS provider,
  COALESCE(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') AS locale,
  d.datconnlimit, d.datistemplate, ${privileges("d.datacl", "d", "d.datdba", v)} AS privileges,
  shobj_description(d.oid, 'pg_database') AS comment
FROM pg_database AS d WHERE d.datname = current_database()`,
  },
  {
    kind: "database setting",
    sql: () => `
SELECT CASE s.setrole WHEN 0 THEN 'everybody' ELSE pg_get_userbyid(s.setrole)::text END AS name, ${
      sorted("s.setconfig")
    } AS settings
FROM pg_db_role_setting AS s WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())`,
  },
  {
    kind: "schema",
    sql: (v) => `
SELECT n.nspname AS name, pg_get_userbyid(n.nspowner) AS owner, ${
      privileges("n.nspacl", "n", "n.nspowner", v)
    } AS privileges
FROM pg_namespace AS n WHERE ${USER_SCHEMA} AND ${notOfExtension("pg_namespace", "n.oid")}`,
  },
  {
    kind: "extension",
    sql: (v) => `
SELECT e.extname AS name, n.nspname AS schema, pg_get_userbyid(e.extowner) AS owner
  ${v.same ? ", e.extversion" : ""}
FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace`,
  },
  {
    kind: "default privileges",
    sql: (v) => `
SELECT pg_get_userbyid(d.defaclrole) || ' ' || COALESCE(n.nspname, 'everywhere') || ' ' || d.defaclobjtype::text AS name,
  ${explode("d.defaclacl", v)} AS privileges
FROM pg_default_acl AS d LEFT JOIN pg_namespace AS n ON n.oid = d.defaclnamespace`,
  },
  {
    kind: "foreign data wrapper",
    sql: (v) => `
SELECT f.fdwname AS name, pg_get_userbyid(f.fdwowner) AS owner, NULLIF(f.fdwhandler, 0)::regproc::text AS handler,
  NULLIF(f.fdwvalidator, 0)::regproc::text AS validator, ${sorted("f.fdwoptions")} AS options,
  ${privileges("f.fdwacl", "F", "f.fdwowner", v)} AS privileges
FROM pg_foreign_data_wrapper AS f`,
  },
  {
    kind: "foreign server",
    sql: (v) => `
SELECT s.srvname AS name, pg_get_userbyid(s.srvowner) AS owner, f.fdwname AS wrapper, s.srvtype, s.srvversion,
  ${sorted("s.srvoptions")} AS options, ${
      privileges("s.srvacl", "S", "s.srvowner", v)
    } AS privileges
FROM pg_foreign_server AS s JOIN pg_foreign_data_wrapper AS f ON f.oid = s.srvfdw`,
  },
  {
    kind: "user mapping",
    sql: () => `
SELECT s.srvname || ' ' || CASE u.umuser WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(u.umuser)::text END AS name,
  ${sorted("u.umoptions")} AS options
FROM pg_user_mapping AS u JOIN pg_foreign_server AS s ON s.oid = u.umserver`,
  },
  {
    kind: "foreign table",
    sql: () => `
SELECT n.nspname || '.' || c.relname AS name, s.srvname AS server, ${
      sorted("f.ftoptions")
    } AS options
FROM pg_foreign_table AS f JOIN pg_class AS c ON c.oid = f.ftrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_foreign_server AS s ON s.oid = f.ftserver WHERE ${USER_SCHEMA}`,
  },
  {
    kind: "event trigger",
    sql: () => `
SELECT evtname AS name, evtevent AS event, pg_get_userbyid(evtowner) AS owner, evtfoid::regprocedure::text AS function,
  evtenabled AS enabled, ${sorted("evttags")} AS tags
FROM pg_event_trigger AS t WHERE ${notOfExtension("pg_event_trigger", "t.oid")}`,
  },
  {
    kind: "language",
    sql: (v) => `
SELECT l.lanname AS name, pg_get_userbyid(l.lanowner) AS owner, l.lanpltrusted, ${
      privileges("l.lanacl", "l", "l.lanowner", v)
    } AS privileges
FROM pg_language AS l WHERE l.lanispl`,
  },
  {
    kind: "access method",
    sql: () => `
SELECT amname AS name, amtype, amhandler::text AS handler FROM pg_am WHERE oid >= 16384`,
  },
  {
    kind: "transform",
    sql: () => `
SELECT format_type(t.trftype, NULL) || ' ' || l.lanname AS name, t.trffromsql::text AS from_sql, t.trftosql::text AS to_sql
FROM pg_transform AS t JOIN pg_language AS l ON l.oid = t.trflang`,
  },
  {
    kind: "comment",
    sql: () => `
SELECT i.type || ' ' || i.identity AS name, d.description AS text
FROM pg_description AS d, pg_identify_object(d.classoid, d.objoid, d.objsubid) AS i
WHERE (d.objoid >= 16384 OR i.identity = 'public' OR d.classoid = 'pg_largeobject'::regclass)
  -- Implied by the above, but identifies a few objects instead of all 5,000 of the system.
  AND (d.objoid >= 16384 OR d.classoid IN ('pg_namespace'::regclass, 'pg_largeobject'::regclass))
  -- Not carried over, and neither are comments on them.
  AND i.type NOT LIKE 'publication%' AND i.type <> 'subscription'
  AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = d.classoid AND e.objid = d.objoid AND e.deptype = 'e')`,
  },
  {
    kind: "security label",
    sql: () => `
SELECT objtype || ' ' || objname || ' ' || provider AS name, label FROM pg_seclabels`,
  },
  {
    kind: "large object",
    sql: (v) => `
SELECT m.oid::text AS name, pg_get_userbyid(m.lomowner) AS owner, ${
      privileges("m.lomacl", "L", "m.lomowner", v)
    } AS privileges, s.size,
  -- By way of lo_get(), for pages that were never written are zeros; in pieces, for a large object can have 4 TB.
  (SELECT md5(string_agg(md5(lo_get(m.oid, at, 1048576)), '' ORDER BY at))
   FROM generate_series(0, s.size - 1, 1048576) AS at) AS content
FROM pg_largeobject_metadata AS m, LATERAL (
  SELECT COALESCE((SELECT pageno::bigint * 2048 + octet_length(data) FROM pg_largeobject
    WHERE loid = m.oid ORDER BY pageno DESC LIMIT 1), 0) AS size) AS s`,
  },
];
