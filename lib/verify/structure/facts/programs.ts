/** Facts about functions, types, operators, collations, text search and languages. @module */
import {
  collationName,
  column,
  type FactSource,
  ownObject,
  userSchema,
  word,
} from "./fact_source.ts";

/** Functions, procedures and aggregates, identified by name and argument types. */
export const functions: FactSource = {
  kind: "function",
  section: "functions",
  schema: "n.nspname",
  name: `p.proname || '(' || coalesce((
           SELECT pg_catalog.string_agg(pg_catalog.format_type(argument, NULL), ', ' ORDER BY place)
             FROM pg_catalog.unnest(p.proargtypes) WITH ORDINALITY AS arguments (argument, place)), '') || ')'`,
  owner: "p.proowner",
  acl: { list: "p.proacl", letter: "f" },
  comment: "pg_catalog.obj_description(p.oid, 'pg_proc')",
  facts: {
    kind: word("p.prokind", {
      f: "function",
      p: "procedure",
      a: "aggregate",
      w: "window function",
    }),
    signature: "p.proname || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')'",
    language: "l.lanname",
    returns: "pg_catalog.pg_get_function_result(p.oid)",
    body: "nullif(p.prosrc, '')",
    library: "p.probin",
    volatility: word("p.provolatile", { i: "immutable", s: "stable", v: "volatile" }),
    "security definer": "nullif(p.prosecdef, false)",
    strict: "nullif(p.proisstrict, false)",
    leakproof: "nullif(p.proleakproof, false)",
    parallel: word("p.proparallel", { s: "safe", r: "restricted", u: "unsafe" }),
    cost: "p.procost::pg_catalog.text",
    rows: "nullif(p.prorows, 0)::pg_catalog.text",
    support: `nullif(p.prosupport::pg_catalog.oid, 0)::pg_catalog.regproc::pg_catalog.text`,
    transforms:
      `(SELECT pg_catalog.string_agg(pg_catalog.format_type(type, NULL), ', ') FROM pg_catalog.unnest(p.protrftypes) AS type)`,
    "state type":
      "CASE WHEN a.aggfnoid IS NOT NULL THEN pg_catalog.format_type(a.aggtranstype, NULL) END",
    "state size": "nullif(a.aggtransspace, 0)",
    "initial state": "a.agginitval",
    "initial moving state": "a.aggminitval",
    "transition functions": `CASE WHEN a.aggfnoid IS NOT NULL THEN
           pg_catalog.concat_ws(', ', a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn, a.aggdeserialfn,
                     a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn, a.aggkind, a.aggfinalmodify,
                     a.aggfinalextra) END`,
    "sort operator": "nullif(a.aggsortop, 0)::pg_catalog.regoperator::pg_catalog.text",
  },
  sets: { settings: "p.proconfig" },
  definitions: {
    // since version 14, IN arguments of procedures are printed explicitly
    arguments: `nullif(CASE WHEN p.prokind = 'p'
           THEN pg_catalog.regexp_replace(pg_catalog.pg_get_function_arguments(p.oid), '(^|, )IN ', '\\1', 'g')
           ELSE pg_catalog.pg_get_function_arguments(p.oid) END, '')`,
    // SQL-standard function bodies (14+) are stored parsed
    "parsed body": `CASE WHEN ${column("p", "prosqlbody")} IS NOT NULL
                         THEN pg_catalog.pg_get_functiondef(p.oid) END`,
  },
  from: `FROM pg_catalog.pg_proc AS p
    JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
    LEFT JOIN pg_catalog.pg_aggregate AS a ON a.aggfnoid = p.oid
   WHERE ${userSchema} AND ${ownObject("pg_proc", "p.oid")}
     -- constructors of ranges are part of the type
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                      WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'i')`,
};

/** User-defined types; the attributes of composite types are among the columns. */
export const types: FactSource = {
  kind: "type",
  section: "types",
  schema: "n.nspname",
  name: "t.typname",
  owner: "t.typowner",
  acl: { list: "t.typacl", letter: "T" },
  comment: "pg_catalog.obj_description(t.oid, 'pg_type')",
  facts: {
    kind: `CASE WHEN NOT t.typisdefined THEN 'shell type' ELSE ${
      word("t.typtype", {
        e: "enum",
        d: "domain",
        r: "range",
        c: "composite type",
        b: "base type",
        p: "pseudo-type",
      })
    } END`,
    labels: `(SELECT pg_catalog.json_agg(e.enumlabel ORDER BY e.enumsortorder)
                FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = t.oid)`,
    "base type":
      "CASE WHEN t.typtype = 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod) END",
    "not null": "nullif(t.typnotnull, false)",
    collation: `(SELECT ${collationName("t.typcollation")} FROM pg_catalog.pg_type AS base
                  WHERE t.typtype = 'd' AND base.oid = t.typbasetype
                    AND base.typcollation <> t.typcollation)`,
    subtype: "pg_catalog.format_type(r.rngsubtype, NULL)",
    "subtype operator class": "opc.opcnamespace::pg_catalog.regnamespace || '.' || opc.opcname",
    "subtype collation": collationName("r.rngcollation"),
    canonical: "nullif(r.rngcanonical::pg_catalog.oid, 0)::pg_catalog.regproc::pg_catalog.text",
    difference: "nullif(r.rngsubdiff::pg_catalog.oid, 0)::pg_catalog.regproc::pg_catalog.text",
    multirange: `(${
      column("r", "rngmultitypid")
    }::pg_catalog.oid)::pg_catalog.regtype::pg_catalog.text`,
    functions: `CASE WHEN t.typtype = 'b' AND t.typisdefined THEN
           pg_catalog.concat_ws(', ', t.typinput, t.typoutput, t.typreceive, t.typsend, t.typmodin, t.typmodout,
                     t.typanalyze) END`,
    layout: `CASE WHEN t.typtype = 'b' AND t.typisdefined THEN
           pg_catalog.concat_ws(', ', t.typlen, t.typbyval, t.typalign, t.typstorage, t.typcategory,
                     t.typispreferred, t.typdelim, nullif(t.typelem, 0)::pg_catalog.regtype) END`,
  },
  definitions: {
    "default": "CASE WHEN t.typtype = 'd' THEN pg_catalog.pg_get_expr(t.typdefaultbin, 0) END",
  },
  from: `FROM pg_catalog.pg_type AS t
    JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
    LEFT JOIN pg_catalog.pg_range AS r ON r.rngtypid = t.oid
    LEFT JOIN pg_catalog.pg_opclass AS opc ON opc.oid = r.rngsubopc
   WHERE ${userSchema} AND ${ownObject("pg_type", "t.oid")}
     AND (t.typrelid = 0 OR EXISTS (SELECT FROM pg_catalog.pg_class AS c
                                     WHERE c.oid = t.typrelid AND c.relkind = 'c'))
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_type AS element WHERE element.typarray = t.oid)
     AND t.typtype <> 'm'`,
};

/**
 * The operator that this one refers to, or the one that refers to it: minor versions differ in
 * whether a shell operator, once defined, refers back.
 */
function linkedOperator(column: "oprcom" | "oprnegate"): string {
  return `coalesce(
    nullif(o.${column}, 0)::pg_catalog.regoperator::pg_catalog.text,
    (SELECT pg_catalog.min(other.oid::pg_catalog.regoperator::pg_catalog.text)
       FROM pg_catalog.pg_operator AS other
      WHERE other.${column} = o.oid AND other.oprcode::pg_catalog.oid <> 0))`;
}

/** Operators, except shell operators, which dumps do not contain. */
export const operators: FactSource = {
  kind: "operator",
  section: "operators and casts",
  schema: "n.nspname",
  name:
    `o.oprname || '(' || coalesce(pg_catalog.format_type(nullif(o.oprleft, 0), NULL), 'NONE') || ', '
           || coalesce(pg_catalog.format_type(nullif(o.oprright, 0), NULL), 'NONE') || ')'`,
  owner: "o.oprowner",
  comment: "pg_catalog.obj_description(o.oid, 'pg_operator')",
  facts: {
    function: "o.oprcode::pg_catalog.text",
    commutator: linkedOperator("oprcom"),
    negator: linkedOperator("oprnegate"),
    "restriction estimator":
      "nullif(o.oprrest::pg_catalog.oid, 0)::pg_catalog.regproc::pg_catalog.text",
    "join estimator": "nullif(o.oprjoin::pg_catalog.oid, 0)::pg_catalog.regproc::pg_catalog.text",
    merges: "nullif(o.oprcanmerge, false)",
    hashes: "nullif(o.oprcanhash, false)",
  },
  from:
    `FROM pg_catalog.pg_operator AS o JOIN pg_catalog.pg_namespace AS n ON n.oid = o.oprnamespace
   WHERE o.oprcode::pg_catalog.oid <> 0 AND ${userSchema} AND ${ownObject("pg_operator", "o.oid")}`,
};

/** Operator classes. */
export const operatorClasses: FactSource = {
  kind: "operator class",
  section: "operators and casts",
  schema: "n.nspname",
  name: "o.opcname || ' for ' || am.amname",
  owner: "o.opcowner",
  comment: "pg_catalog.obj_description(o.oid, 'pg_opclass')",
  facts: {
    type: "pg_catalog.format_type(o.opcintype, NULL)",
    "default": "nullif(o.opcdefault, false)",
    "stored type": "nullif(o.opckeytype, 0)::pg_catalog.regtype::pg_catalog.text",
    family: "f.opfname",
  },
  from: `FROM pg_catalog.pg_opclass AS o
    JOIN pg_catalog.pg_namespace AS n ON n.oid = o.opcnamespace
    JOIN pg_catalog.pg_am AS am ON am.oid = o.opcmethod
    JOIN pg_catalog.pg_opfamily AS f ON f.oid = o.opcfamily
   WHERE ${userSchema} AND ${ownObject("pg_opclass", "o.oid")}`,
};

/** Operator families with their members. */
export const operatorFamilies: FactSource = {
  kind: "operator family",
  section: "operators and casts",
  schema: "n.nspname",
  name: "f.opfname || ' for ' || am.amname",
  owner: "f.opfowner",
  comment: "pg_catalog.obj_description(f.oid, 'pg_opfamily')",
  sets: {
    operators:
      `(SELECT pg_catalog.array_agg(m.amopstrategy || ' ' || m.amopopr::pg_catalog.regoperator)
                   FROM pg_catalog.pg_amop AS m WHERE m.amopfamily = f.oid)`,
    functions:
      `(SELECT pg_catalog.array_agg(m.amprocnum || ' ' || m.amproc::pg_catalog.regprocedure)
                   FROM pg_catalog.pg_amproc AS m WHERE m.amprocfamily = f.oid)`,
  },
  from: `FROM pg_catalog.pg_opfamily AS f
    JOIN pg_catalog.pg_namespace AS n ON n.oid = f.opfnamespace
    JOIN pg_catalog.pg_am AS am ON am.oid = f.opfmethod
   WHERE ${userSchema} AND ${ownObject("pg_opfamily", "f.oid")}`,
};

/** Casts, except built-in ones. */
export const casts: FactSource = {
  kind: "cast",
  section: "operators and casts",
  name:
    "pg_catalog.format_type(c.castsource, NULL) || ' AS ' || pg_catalog.format_type(c.casttarget, NULL)",
  comment: "pg_catalog.obj_description(c.oid, 'pg_cast')",
  facts: {
    function: "nullif(c.castfunc, 0)::pg_catalog.regprocedure::pg_catalog.text",
    context: word("c.castcontext", { e: "explicit", a: "assignment", i: "implicit" }),
    method: word("c.castmethod", { f: "function", i: "input and output", b: "binary" }),
  },
  from: `FROM pg_catalog.pg_cast AS c
   WHERE c.oid >= 16384 AND ${ownObject("pg_cast", "c.oid")}
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                      WHERE d.classid = 'pg_catalog.pg_cast'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'i')`,
};

/** Collations. Their versions depend on the operating system and are not compared. */
export const collations: FactSource = {
  kind: "collation",
  section: "collations and conversions",
  schema: "n.nspname",
  name: "c.collname",
  owner: "c.collowner",
  comment: "pg_catalog.obj_description(c.oid, 'pg_collation')",
  facts: {
    provider: word("c.collprovider", { c: "libc", i: "icu", b: "builtin", d: "default" }),
    deterministic: "c.collisdeterministic",
    locale: `coalesce(${column("c", "colllocale")}, ${
      column("c", "colliculocale")
    }, c.collcollate)`,
    "character type": "CASE WHEN c.collprovider = 'c' THEN c.collctype END",
    rules: column("c", "collicurules"),
  },
  from:
    `FROM pg_catalog.pg_collation AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.collnamespace
   WHERE ${userSchema} AND ${ownObject("pg_collation", "c.oid")}`,
};

/** Conversions between encodings. */
export const conversions: FactSource = {
  kind: "conversion",
  section: "collations and conversions",
  schema: "n.nspname",
  name: "c.conname",
  owner: "c.conowner",
  comment: "pg_catalog.obj_description(c.oid, 'pg_conversion')",
  facts: {
    from: "pg_catalog.pg_encoding_to_char(c.conforencoding)",
    to: "pg_catalog.pg_encoding_to_char(c.contoencoding)",
    function: "c.conproc::pg_catalog.text",
    "default": "nullif(c.condefault, false)",
  },
  from:
    `FROM pg_catalog.pg_conversion AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.connamespace
   WHERE ${userSchema} AND ${ownObject("pg_conversion", "c.oid")}`,
};

/** Text search configurations. */
export const textSearchConfigurations: FactSource = {
  kind: "text search configuration",
  section: "text search",
  schema: "n.nspname",
  name: "c.cfgname",
  owner: "c.cfgowner",
  comment: "pg_catalog.obj_description(c.oid, 'pg_ts_config')",
  facts: {
    parser: "p.prsname",
    mappings:
      `(SELECT pg_catalog.string_agg(m.maptokentype || ' ' || m.mapdict::pg_catalog.regdictionary, ', '
                                  ORDER BY m.maptokentype, m.mapseqno)
                  FROM pg_catalog.pg_ts_config_map AS m WHERE m.mapcfg = c.oid)`,
  },
  from: `FROM pg_catalog.pg_ts_config AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.cfgnamespace
    JOIN pg_catalog.pg_ts_parser AS p ON p.oid = c.cfgparser
   WHERE ${userSchema} AND ${ownObject("pg_ts_config", "c.oid")}`,
};

/** Text search dictionaries. */
export const textSearchDictionaries: FactSource = {
  kind: "text search dictionary",
  section: "text search",
  schema: "n.nspname",
  name: "d.dictname",
  owner: "d.dictowner",
  comment: "pg_catalog.obj_description(d.oid, 'pg_ts_dict')",
  facts: { template: "t.tmplname", options: "d.dictinitoption" },
  from: `FROM pg_catalog.pg_ts_dict AS d
    JOIN pg_catalog.pg_namespace AS n ON n.oid = d.dictnamespace
    JOIN pg_catalog.pg_ts_template AS t ON t.oid = d.dicttemplate
   WHERE ${userSchema} AND ${ownObject("pg_ts_dict", "d.oid")}`,
};

/** Text search parsers. */
export const textSearchParsers: FactSource = {
  kind: "text search parser",
  section: "text search",
  schema: "n.nspname",
  name: "p.prsname",
  comment: "pg_catalog.obj_description(p.oid, 'pg_ts_parser')",
  facts: {
    functions:
      "pg_catalog.concat_ws(', ', p.prsstart, p.prstoken, p.prsend, p.prsheadline, p.prslextype)",
  },
  from:
    `FROM pg_catalog.pg_ts_parser AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.prsnamespace
   WHERE ${userSchema} AND ${ownObject("pg_ts_parser", "p.oid")}`,
};

/** Text search templates. */
export const textSearchTemplates: FactSource = {
  kind: "text search template",
  section: "text search",
  schema: "n.nspname",
  name: "t.tmplname",
  comment: "pg_catalog.obj_description(t.oid, 'pg_ts_template')",
  facts: { functions: "pg_catalog.concat_ws(', ', t.tmplinit, t.tmpllexize)" },
  from:
    `FROM pg_catalog.pg_ts_template AS t JOIN pg_catalog.pg_namespace AS n ON n.oid = t.tmplnamespace
   WHERE ${userSchema} AND ${ownObject("pg_ts_template", "t.oid")}`,
};

/** Transforms between types and languages. */
export const transforms: FactSource = {
  kind: "transform",
  section: "operators and casts",
  name: "pg_catalog.format_type(t.trftype, NULL) || ' in ' || l.lanname",
  comment: "pg_catalog.obj_description(t.oid, 'pg_transform')",
  facts: {
    "from SQL": "nullif(t.trffromsql::pg_catalog.oid, 0)::pg_catalog.regproc::pg_catalog.text",
    "to SQL": "nullif(t.trftosql::pg_catalog.oid, 0)::pg_catalog.regproc::pg_catalog.text",
  },
  from: `FROM pg_catalog.pg_transform AS t JOIN pg_catalog.pg_language AS l ON l.oid = t.trflang
   WHERE ${ownObject("pg_transform", "t.oid")}`,
};

/** Languages that do not belong to an extension. */
export const languages: FactSource = {
  kind: "language",
  section: "languages and access methods",
  name: "l.lanname",
  owner: "l.lanowner",
  acl: { list: "l.lanacl", letter: "l" },
  comment: "pg_catalog.obj_description(l.oid, 'pg_language')",
  facts: {
    trusted: "l.lanpltrusted",
    functions:
      "pg_catalog.concat_ws(', ', l.lanplcallfoid::pg_catalog.regproc, l.laninline::pg_catalog.regproc, l.lanvalidator::pg_catalog.regproc)",
  },
  from: `FROM pg_catalog.pg_language AS l WHERE l.lanispl AND ${ownObject("pg_language", "l.oid")}`,
};

/** Access methods, except built-in ones and those of extensions. */
export const accessMethods: FactSource = {
  kind: "access method",
  section: "languages and access methods",
  name: "am.amname",
  comment: "pg_catalog.obj_description(am.oid, 'pg_am')",
  facts: {
    kind: word("am.amtype", { t: "table access method", i: "index access method" }),
    handler: "am.amhandler::pg_catalog.text",
  },
  from: `FROM pg_catalog.pg_am AS am WHERE am.oid >= 16384 AND ${ownObject("pg_am", "am.oid")}`,
};
