import { type FactQuery, notOfExtension, privileges, sorted, USER_SCHEMA } from "./fact.ts";

/** Types, functions and objects based on them. */
export const PROGRAMS: readonly FactQuery[] = [
  {
    kind: "type",
    sql: (v) => `
SELECT n.nspname || '.' || t.typname AS name, t.typtype, t.typcategory, t.typlen, t.typnotnull, t.typdefault,
  pg_get_userbyid(t.typowner) AS owner, ${
      privileges("t.typacl", "T", "t.typowner", v)
    } AS privileges,
  CASE t.typtype WHEN 'd' THEN format_type(t.typbasetype, t.typtypmod) END AS base, co.collname AS collation,
  (SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid) AS labels,
  format_type(r.rngsubtype, NULL) AS subtype, opc.opcname AS subtype_opclass, rco.collname AS subtype_collation,
  r.rngcanonical::regproc::text AS canonical, r.rngsubdiff::regproc::text AS subdiff
  ${v.oldest >= 14 ? ", format_type(r.rngmultitypid, NULL) AS multirange" : ""}
FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace
LEFT JOIN pg_range AS r ON r.rngtypid = t.oid
LEFT JOIN pg_opclass AS opc ON opc.oid = r.rngsubopc
LEFT JOIN pg_collation AS rco ON rco.oid = r.rngcollation
LEFT JOIN pg_collation AS co ON co.oid = t.typcollation
WHERE ${USER_SCHEMA} AND t.typtype IN ('b', 'd', 'e', 'r', 'c', 'p')
  -- Neither array types nor the row types of tables.
  AND NOT EXISTS (SELECT FROM pg_type AS e WHERE e.typarray = t.oid)
  AND (t.typrelid = 0 OR EXISTS (SELECT FROM pg_class WHERE oid = t.typrelid AND relkind = 'c'))
  AND ${notOfExtension("pg_type", "t.oid")}`,
  },
  {
    kind: "function",
    sql: (v) => `
SELECT n.nspname || '.' || p.proname || '(' || oidvectortypes(p.proargtypes) || ')' AS name, p.prokind,
  pg_get_userbyid(p.proowner) AS owner, ${
      privileges("p.proacl", "f", "p.proowner", v)
    } AS privileges,
  p.prosrc, p.probin, l.lanname AS language, p.provolatile, p.proparallel, p.proisstrict, p.prosecdef, p.proleakproof,
  p.procost, p.prorows, ${sorted("p.proconfig")} AS config, p.prosupport::regproc::text AS support,
  -- Since 14 the modes of procedures' arguments are written out.
  regexp_replace(pg_get_function_arguments(p.oid), '\\mIN ', '', 'g') AS arguments, pg_get_function_result(p.oid) AS result
  ${v.same ? ", CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) END AS definition" : ""}
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace JOIN pg_language AS l ON l.oid = p.prolang
WHERE ${USER_SCHEMA} AND ${notOfExtension("pg_proc", "p.oid")}
  -- Constructors of range types: part of the type.
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i')`,
  },
  {
    kind: "aggregate",
    sql: () => `
SELECT n.nspname || '.' || p.proname || '(' || oidvectortypes(p.proargtypes) || ')' AS name, a.aggkind,
  a.aggtransfn::text AS transition, a.aggfinalfn::text AS final, a.aggcombinefn::text AS combine,
  a.aggserialfn::text AS serialize, a.aggdeserialfn::text AS deserialize, a.aggmtransfn::text AS moving,
  a.aggfinalextra, a.aggfinalmodify, format_type(a.aggtranstype, NULL) AS state, a.aggtransspace, a.agginitval,
  a.aggminitval, a.aggsortop::regoper::text AS sort_operator
FROM pg_aggregate AS a JOIN pg_proc AS p ON p.oid = a.aggfnoid JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE ${USER_SCHEMA} AND ${notOfExtension("pg_proc", "p.oid")}`,
  },
  {
    kind: "operator",
    sql: () => `
SELECT n.nspname || '.' || o.oprname || '(' || format_type(NULLIF(o.oprleft, 0), NULL) || ',' || format_type(NULLIF(o.oprright, 0), NULL) || ')' AS name,
  pg_get_userbyid(o.oprowner) AS owner, o.oprcode::text AS function, o.oprcom::regoperator::text AS commutator,
  o.oprnegate::regoperator::text AS negator, o.oprrest::text AS restrict, o.oprjoin::text AS "join", o.oprcanmerge, o.oprcanhash
FROM pg_operator AS o JOIN pg_namespace AS n ON n.oid = o.oprnamespace
WHERE ${USER_SCHEMA} AND ${notOfExtension("pg_operator", "o.oid")}`,
  },
  {
    kind: "operator class",
    sql: () => `
SELECT n.nspname || '.' || o.opcname || ' USING ' || am.amname AS name, pg_get_userbyid(o.opcowner) AS owner,
  format_type(o.opcintype, NULL) AS type, o.opcdefault, NULLIF(o.opckeytype, 0)::regtype::text AS key_type, f.opfname AS family
FROM pg_opclass AS o JOIN pg_namespace AS n ON n.oid = o.opcnamespace JOIN pg_am AS am ON am.oid = o.opcmethod
JOIN pg_opfamily AS f ON f.oid = o.opcfamily WHERE ${USER_SCHEMA} AND ${
      notOfExtension("pg_opclass", "o.oid")
    }`,
  },
  {
    kind: "operator family",
    sql: () => `
SELECT n.nspname || '.' || f.opfname || ' USING ' || am.amname AS name, pg_get_userbyid(f.opfowner) AS owner,
  (SELECT string_agg(amopstrategy || ' ' || amopopr::regoperator, ', ' ORDER BY amopstrategy, amopopr::regoperator::text COLLATE "C")
   FROM pg_amop WHERE amopfamily = f.oid) AS operators,
  (SELECT string_agg(amprocnum || ' ' || amproc::regprocedure, ', ' ORDER BY amprocnum, amproc::regprocedure::text COLLATE "C")
   FROM pg_amproc WHERE amprocfamily = f.oid) AS functions
FROM pg_opfamily AS f JOIN pg_namespace AS n ON n.oid = f.opfnamespace JOIN pg_am AS am ON am.oid = f.opfmethod
WHERE ${USER_SCHEMA} AND ${notOfExtension("pg_opfamily", "f.oid")}`,
  },
  {
    kind: "cast",
    sql: () => `
SELECT format_type(c.castsource, NULL) || ' AS ' || format_type(c.casttarget, NULL) AS name,
  NULLIF(c.castfunc, 0)::regprocedure::text AS function, c.castcontext, c.castmethod
FROM pg_cast AS c WHERE c.oid >= 16384 AND ${notOfExtension("pg_cast", "c.oid")}
  -- Those from ranges to their multiranges come with the type.
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_cast'::regclass AND d.objid = c.oid AND d.deptype = 'i')`,
  },
  {
    kind: "collation",
    sql: () => `
SELECT n.nspname || '.' || c.collname AS name, pg_get_userbyid(c.collowner) AS owner, c.collprovider, c.collisdeterministic,
  pg_encoding_to_char(c.collencoding) AS encoding,
  COALESCE(to_jsonb(c) ->> 'colllocale', to_jsonb(c) ->> 'colliculocale', c.collcollate) AS locale
FROM pg_collation AS c JOIN pg_namespace AS n ON n.oid = c.collnamespace
WHERE ${USER_SCHEMA} AND ${notOfExtension("pg_collation", "c.oid")}`,
  },
  {
    kind: "conversion",
    sql: () => `
SELECT n.nspname || '.' || c.conname AS name, pg_get_userbyid(c.conowner) AS owner, c.conproc::text AS function, c.condefault,
  pg_encoding_to_char(c.conforencoding) AS source, pg_encoding_to_char(c.contoencoding) AS target
FROM pg_conversion AS c JOIN pg_namespace AS n ON n.oid = c.connamespace WHERE ${USER_SCHEMA}`,
  },
  {
    kind: "text search configuration",
    sql: () => `
SELECT n.nspname || '.' || c.cfgname AS name, pg_get_userbyid(c.cfgowner) AS owner, p.prsname AS parser,
  (SELECT string_agg(m.maptokentype || ':' || m.mapdict::regdictionary, ', ' ORDER BY m.maptokentype, m.mapseqno)
   FROM pg_ts_config_map AS m WHERE m.mapcfg = c.oid) AS mappings
FROM pg_ts_config AS c JOIN pg_namespace AS n ON n.oid = c.cfgnamespace JOIN pg_ts_parser AS p ON p.oid = c.cfgparser
WHERE ${USER_SCHEMA} AND ${notOfExtension("pg_ts_config", "c.oid")}`,
  },
  {
    kind: "text search dictionary",
    sql: () => `
SELECT n.nspname || '.' || d.dictname AS name, pg_get_userbyid(d.dictowner) AS owner, t.tmplname AS template, d.dictinitoption
FROM pg_ts_dict AS d JOIN pg_namespace AS n ON n.oid = d.dictnamespace JOIN pg_ts_template AS t ON t.oid = d.dicttemplate
WHERE ${USER_SCHEMA} AND ${notOfExtension("pg_ts_dict", "d.oid")}`,
  },
  {
    kind: "text search parser or template",
    sql: () => `
SELECT n.nspname || '.' || p.prsname AS name, p.prsstart::text || ' ' || p.prstoken::text AS functions
FROM pg_ts_parser AS p JOIN pg_namespace AS n ON n.oid = p.prsnamespace WHERE ${USER_SCHEMA}
UNION ALL
SELECT n.nspname || '.' || t.tmplname, t.tmplinit::text || ' ' || t.tmpllexize::text
FROM pg_ts_template AS t JOIN pg_namespace AS n ON n.oid = t.tmplnamespace
WHERE ${USER_SCHEMA} AND ${notOfExtension("pg_ts_template", "t.oid")}`,
  },
];
