/** Facts about the database itself and objects that belong to no table. @module */
import { column, type FactSource, ownObject, roleName, userSchema, word } from "./fact_source.ts";

const ofThis =
  `(SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())`;

/** The database, which may have a different name on the target. */
export const database: FactSource = {
  kind: "database",
  section: "database",
  name: "''",
  owner: "d.datdba",
  acl: { list: "d.datacl", letter: "d" },
  comment: "pg_catalog.shobj_description(d.oid, 'pg_database')",
  facts: {
    encoding: "pg_catalog.pg_encoding_to_char(d.encoding)",
    collation: "d.datcollate",
    "character type": "d.datctype",
    "locale provider": word(`coalesce(${column("d", "datlocprovider")}, 'c')`, {
      c: "libc",
      i: "icu",
      b: "builtin",
    }),
    locale: `coalesce(${column("d", "datlocale")}, ${column("d", "daticulocale")})`,
    "locale rules": column("d", "daticurules"),
    "connection limit": "nullif(d.datconnlimit, -1)",
    template: "nullif(d.datistemplate, false)",
  },
  from: `FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()`,
};

/**
 * What the comment on one of the tool's subscriptions says about a setting that it needs until
 * cleanup.
 */
const workerNote = `(
     SELECT note.value AS note
       FROM pg_catalog.pg_subscription AS sub
      CROSS JOIN LATERAL pg_catalog.json_array_elements(
              pg_catalog.obj_description(sub.oid, 'pg_subscription')::pg_catalog.json -> 'workerSettings') AS note
      WHERE sub.subdbid = s.setdatabase AND sub.subowner = s.setrole AND sub.subname ~ '^seren_'
        AND note.value ->> 'name' = pg_catalog.split_part(setting, '=', 1)
      LIMIT 1)`;

/**
 * ALTER DATABASE … SET and ALTER ROLE … IN DATABASE … SET, one object per parameter. Parameters
 * changed by the tool have their original value.
 */
export const settings: FactSource = {
  kind: "setting",
  section: "settings",
  parent: `CASE WHEN s.setrole <> 0 THEN ${roleName("s.setrole")} END`,
  name: "pg_catalog.split_part(setting, '=', 1)",
  facts: {
    value:
      "COALESCE(worker.note ->> 'before', pg_catalog.substr(setting, pg_catalog.strpos(setting, '=') + 1))",
  },
  from:
    `FROM pg_catalog.pg_db_role_setting AS s CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS setting
   LEFT JOIN LATERAL ${workerNote} AS worker ON true
   WHERE s.setdatabase = ${ofThis} AND (worker.note IS NULL OR worker.note ->> 'before' IS NOT NULL)`,
};

/** Schemas. */
export const schemas: FactSource = {
  kind: "schema",
  section: "schemas",
  name: "n.nspname",
  owner: "n.nspowner",
  acl: { list: "n.nspacl", letter: "n" },
  // initdb creates public with a standard comment
  comment: `nullif(pg_catalog.obj_description(n.oid, 'pg_namespace'),
                   CASE n.nspname WHEN 'public' THEN 'standard public schema' END)`,
  from: `FROM pg_catalog.pg_namespace AS n WHERE ${userSchema} AND ${
    ownObject("pg_namespace", "n.oid")
  }`,
};

/** Extensions, without their members. */
export const extensions: FactSource = {
  kind: "extension",
  section: "extensions",
  name: "e.extname",
  owner: "e.extowner",
  facts: { schema: "n.nspname", version: "e.extversion" },
  from:
    `FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace`,
};

/** ALTER DEFAULT PRIVILEGES of a role, in one schema or all, for one kind of object. */
export const defaultPrivileges: FactSource = {
  kind: "default privileges",
  section: "default privileges",
  schema: "n.nspname",
  parent: roleName("d.defaclrole"),
  name: word("d.defaclobjtype", {
    r: "tables",
    S: "sequences",
    f: "functions",
    T: "types",
    n: "schemas",
    L: "large objects",
  }),
  acl: { list: "d.defaclacl", owner: "d.defaclrole" },
  from:
    `FROM pg_catalog.pg_default_acl AS d LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = d.defaclnamespace`,
};

/** Foreign-data wrappers. */
export const foreignDataWrappers: FactSource = {
  kind: "foreign-data wrapper",
  section: "foreign data",
  name: "f.fdwname",
  owner: "f.fdwowner",
  acl: { list: "f.fdwacl", letter: "F" },
  comment: "pg_catalog.obj_description(f.oid, 'pg_foreign_data_wrapper')",
  facts: {
    handler: "nullif(f.fdwhandler, 0)::pg_catalog.regproc::pg_catalog.text",
    validator: "nullif(f.fdwvalidator, 0)::pg_catalog.regproc::pg_catalog.text",
  },
  sets: { options: "f.fdwoptions" },
  from: `FROM pg_catalog.pg_foreign_data_wrapper AS f WHERE ${
    ownObject("pg_foreign_data_wrapper", "f.oid")
  }`,
};

/** Foreign servers. */
export const foreignServers: FactSource = {
  kind: "foreign server",
  section: "foreign data",
  name: "s.srvname",
  owner: "s.srvowner",
  acl: { list: "s.srvacl", letter: "S" },
  comment: "pg_catalog.obj_description(s.oid, 'pg_foreign_server')",
  facts: { wrapper: "f.fdwname", type: "s.srvtype", version: "s.srvversion" },
  sets: { options: "s.srvoptions" },
  from:
    `FROM pg_catalog.pg_foreign_server AS s JOIN pg_catalog.pg_foreign_data_wrapper AS f ON f.oid = s.srvfdw
   WHERE ${ownObject("pg_foreign_server", "s.oid")}`,
};

/**
 * User mappings. Their options are secrets: compared but never shown, and NULL if not visible.
 */
export const userMappings: FactSource = {
  kind: "user mapping",
  section: "foreign data",
  parent: "m.srvname",
  name: "m.usename",
  sets: { options: "m.umoptions" },
  from: `FROM pg_catalog.pg_user_mappings AS m`,
};

/**
 * Large objects, grouped by owner and privileges because there may be millions. Their comments are
 * compared with their contents.
 */
export const largeObjects: FactSource = {
  kind: "large objects",
  section: "large object owners",
  parent: "l.owner",
  name: "l.privileges",
  facts: {
    count: "pg_catalog.count(*)::pg_catalog.text",
    numbers:
      "pg_catalog.sum(pg_catalog.hashint8extended(l.oid::bigint, 0)::numeric)::pg_catalog.text",
  },
  from: `FROM (SELECT m.oid, ${roleName("m.lomowner")} AS owner,
                 coalesce((SELECT pg_catalog.string_agg(grantee.name || ': ' || g.privilege_type, ', '
                                             ORDER BY grantee.name COLLATE pg_catalog."C", g.privilege_type)
                             FROM pg_catalog.aclexplode(m.lomacl) AS g
                            CROSS JOIN LATERAL (SELECT CASE g.grantee WHEN 0 THEN 'PUBLIC'
                                   ELSE ${roleName("g.grantee")} END) AS grantee (name)
                            WHERE g.grantee <> m.lomowner), '') AS privileges
            FROM pg_catalog.pg_largeobject_metadata AS m) AS l
   GROUP BY l.owner, l.privileges`,
};

/** Security labels of all objects. */
export const securityLabels: FactSource = {
  kind: "security label",
  section: "security labels",
  parent: "l.provider",
  name: "l.objtype || ' ' || l.objname",
  facts: { label: "l.label" },
  from: `FROM pg_catalog.pg_seclabels AS l
   WHERE l.objtype NOT IN ('role', 'tablespace', 'publication', 'subscription', 'large object')`,
};
