/** Facts about tables, views and their columns. @module */
import {
  collationName,
  column,
  type FactSource,
  ownObject,
  roleName,
  userSchema,
  word,
} from "./fact_source.ts";

const optionList = (array: string, prefix: string) =>
  `(SELECT pg_catalog.array_agg('${prefix}' || o) FROM pg_catalog.unnest(${array}) AS o)`;

const storageWords = { p: "plain", e: "external", m: "main", x: "extended" };

/** Tables of all kinds, views and materialized views. */
export const relations: FactSource = {
  kind: "table",
  section: "tables",
  schema: "n.nspname",
  name: "c.relname",
  owner: "c.relowner",
  acl: { list: "c.relacl", letter: "r" },
  comment: "pg_catalog.obj_description(c.oid, 'pg_class')",
  facts: {
    kind: word("c.relkind", {
      r: "table",
      p: "partitioned table",
      f: "foreign table",
      v: "view",
      m: "materialized view",
    }),
    persistence: word("c.relpersistence", { p: "permanent", u: "unlogged" }),
    "partition of": "CASE WHEN c.relispartition THEN inh.parents END",
    "inherits from": "CASE WHEN NOT c.relispartition THEN inh.parents END",
    "of type":
      "CASE WHEN c.reloftype <> 0 THEN c.reloftype::pg_catalog.regtype::pg_catalog.text END",
    "access method": "am.amname",
    tablespace: "ts.spcname",
    "row security": "nullif(c.relrowsecurity, false)",
    "forced row security": "nullif(c.relforcerowsecurity, false)",
    "replica identity": `CASE c.relreplident WHEN 'n' THEN 'nothing' WHEN 'f' THEN 'full'
           WHEN 'i' THEN (SELECT 'index ' || ic.relname FROM pg_catalog.pg_index AS i
                            JOIN pg_catalog.pg_class AS ic ON ic.oid = i.indexrelid
                           WHERE i.indrelid = c.oid AND i.indisreplident) END`,
    "filled": "CASE WHEN c.relkind = 'm' THEN c.relispopulated END",
    "foreign server": "fs.srvname",
  },
  sets: {
    options: `${optionList("c.reloptions", "")} || ${optionList("toast.reloptions", "toast.")}`,
    "foreign options": "ft.ftoptions",
  },
  definitions: {
    "partition bounds":
      "CASE WHEN c.relispartition THEN pg_catalog.pg_get_expr(c.relpartbound, c.oid) END",
    "partition key": "pg_catalog.pg_get_partkeydef(c.oid)",
    definition: "CASE WHEN c.relkind IN ('v', 'm') THEN pg_catalog.pg_get_viewdef(c.oid) END",
  },
  from: `FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_class AS toast ON toast.oid = c.reltoastrelid
    LEFT JOIN pg_catalog.pg_am AS am ON am.oid = c.relam
    LEFT JOIN pg_catalog.pg_tablespace AS ts ON ts.oid = c.reltablespace
    LEFT JOIN pg_catalog.pg_foreign_table AS ft ON ft.ftrelid = c.oid
    LEFT JOIN pg_catalog.pg_foreign_server AS fs ON fs.oid = ft.ftserver
    LEFT JOIN LATERAL (SELECT pg_catalog.string_agg(i.inhparent::pg_catalog.regclass::pg_catalog.text, ', ' ORDER BY i.inhseqno) AS parents
                         FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid = c.oid) AS inh ON true
   WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND c.relpersistence <> 't'
     AND ${userSchema} AND ${ownObject("pg_class", "c.oid")}`,
};

/** Columns of tables, views and composite types. */
export const columns: FactSource = {
  kind: "column",
  section: "columns",
  schema: "n.nspname",
  parent: "c.relname",
  name: "a.attname",
  acl: { list: "a.attacl", owner: "c.relowner" },
  comment: "pg_catalog.col_description(c.oid, a.attnum)",
  facts: {
    place: "a.attnum",
    type: "pg_catalog.format_type(a.atttypid, a.atttypmod)",
    collation: `CASE WHEN a.attcollation <> t.typcollation
                     THEN ${collationName("a.attcollation")} END`,
    "not null": "nullif(a.attnotnull, false)",
    generated: word("nullif(a.attgenerated, '')", { s: "stored", v: "virtual" }),
    identity: word("nullif(a.attidentity, '')", { a: "always", d: "by default" }),
    storage: `CASE WHEN a.attstorage <> t.typstorage THEN ${
      word("a.attstorage", storageWords)
    } END`,
    compression: word(`nullif(${column("a", "attcompression")}, '')`, { p: "pglz", l: "lz4" }),
    "statistics target": "nullif(a.attstattarget, -1)",
    inherited: "nullif(a.attinhcount > 0 AND NOT c.relispartition, false)",
  },
  sets: {
    // internal options (pg_attver=…) are not dumped
    options: `(SELECT pg_catalog.array_agg(o) FROM pg_catalog.unnest(a.attoptions) AS o
                WHERE o ~ '^n_distinct(_inherited)?=')`,
    "foreign options": "a.attfdwoptions",
  },
  definitions: { "default": "pg_catalog.pg_get_expr(d.adbin, d.adrelid)" },
  from: `FROM pg_catalog.pg_attribute AS a
    JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
    LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
   WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'f', 'v', 'm', 'c')
     AND c.relpersistence <> 't' AND ${userSchema} AND ${ownObject("pg_class", "c.oid")}`,
};

/** Definitions of sequences; their values are read separately. */
export const sequences: FactSource = {
  kind: "sequence",
  section: "sequences",
  schema: "n.nspname",
  name: "c.relname",
  owner: "c.relowner",
  acl: { list: "c.relacl", letter: "s" },
  comment: "pg_catalog.obj_description(c.oid, 'pg_class')",
  facts: {
    type: "pg_catalog.format_type(s.seqtypid, NULL)",
    start: "s.seqstart::pg_catalog.text",
    increment: "s.seqincrement::pg_catalog.text",
    minimum: "s.seqmin::pg_catalog.text",
    maximum: "s.seqmax::pg_catalog.text",
    cache: "s.seqcache::pg_catalog.text",
    cycle: "nullif(s.seqcycle, false)",
    unlogged: "nullif(c.relpersistence = 'u', false)",
    "owned by": `(SELECT d.refobjid::pg_catalog.regclass || '.' || pg_catalog.quote_ident(a.attname)
                    FROM pg_catalog.pg_depend AS d
                    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                   WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
                     AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i'))`,
  },
  from: `FROM pg_catalog.pg_sequence AS s
    JOIN pg_catalog.pg_class AS c ON c.oid = s.seqrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.relpersistence <> 't' AND ${userSchema} AND ${ownObject("pg_class", "c.oid")}`,
};

/** Extended statistics. */
export const extendedStatistics: FactSource = {
  kind: "statistics",
  section: "statistics",
  schema: "n.nspname",
  name: "s.stxname",
  owner: "s.stxowner",
  comment: "pg_catalog.obj_description(s.oid, 'pg_statistic_ext')",
  facts: {
    table: "s.stxrelid::pg_catalog.regclass::pg_catalog.text",
    target: `nullif(coalesce(${column("s", "stxstattarget")}, '-1'), '-1')`,
  },
  definitions: { definition: "pg_catalog.pg_get_statisticsobjdef(s.oid)" },
  from: `FROM pg_catalog.pg_statistic_ext AS s
    JOIN pg_catalog.pg_namespace AS n ON n.oid = s.stxnamespace
   WHERE ${userSchema} AND ${ownObject("pg_class", "s.stxrelid")}`,
};

/** Row security policies. */
export const policies: FactSource = {
  kind: "policy",
  section: "policies",
  schema: "n.nspname",
  parent: "c.relname",
  name: "p.polname",
  comment: "pg_catalog.obj_description(p.oid, 'pg_policy')",
  facts: {
    command: word("p.polcmd", {
      r: "SELECT",
      a: "INSERT",
      w: "UPDATE",
      d: "DELETE",
      "*": "ALL",
    }),
    permissive: "p.polpermissive",
  },
  sets: {
    roles: `(SELECT pg_catalog.array_agg(CASE role WHEN 0 THEN 'PUBLIC' ELSE ${
      roleName("role")
    } END)
               FROM pg_catalog.unnest(p.polroles) AS role)`,
  },
  definitions: {
    "using": "pg_catalog.pg_get_expr(p.polqual, p.polrelid)",
    "with check": "pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)",
  },
  from: `FROM pg_catalog.pg_policy AS p
    JOIN pg_catalog.pg_class AS c ON c.oid = p.polrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE ${userSchema} AND ${ownObject("pg_class", "c.oid")}`,
};

/** Rules, except those that implement views. */
export const rules: FactSource = {
  kind: "rule",
  section: "rules",
  schema: "n.nspname",
  parent: "c.relname",
  name: "r.rulename",
  comment: "pg_catalog.obj_description(r.oid, 'pg_rewrite')",
  facts: {
    state: `CASE r.ev_enabled WHEN 'O' THEN 'enabled' WHEN 'D' THEN 'disabled'
                        WHEN 'R' THEN 'replica only' ELSE 'always' END`,
  },
  definitions: { definition: "pg_catalog.pg_get_ruledef(r.oid)" },
  from: `FROM pg_catalog.pg_rewrite AS r
    JOIN pg_catalog.pg_class AS c ON c.oid = r.ev_class
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE r.rulename <> '_RETURN' AND ${userSchema} AND ${ownObject("pg_class", "c.oid")}`,
};
