/**
 * Determines whether a database contains user objects, and which.
 *
 * @module
 */
import {
  displayName,
  formatBytes,
  ownSchemaList,
  plural,
  type TableName,
} from "../../core/internal.ts";
import { type Session, textArray } from "../../postgres/internal.ts";
import { listProviderRoles } from "../server/provider_names.ts";
import { notOfExtension } from "../extension_members.ts";

/** Contents of a database besides objects of PostgreSQL, extensions and the provider. */
export interface DatabaseContents {
  /**
   * Whether there are no user objects. Extensions do not count: `init` creates them where needed.
   */
  readonly empty: boolean;
  /** Kinds of objects, largest first. */
  readonly kinds: readonly ObjectCount[];
  /** The largest tables, largest first. */
  readonly largestTables: readonly SizedTable[];
  /** Extensions other than `plpgsql`. */
  readonly extensions: readonly string[];
  /** `3 tables (120 MB: orders, customers, items), 2 functions`; `nothing` when empty. */
  readonly description: string;
}

/** The number of objects of a kind. */
export type ObjectCount = {
  readonly kind: ObjectKind;
  readonly count: number;
  /** Bytes including indexes, for kinds that have storage. */
  readonly bytes: number;
};

/** A table and its bytes, including indexes. */
export type SizedTable = {
  readonly schema: string;
  readonly name: string;
  readonly bytes: number;
};

/** A kind of object. */
export type ObjectKind =
  | "table"
  | "large object"
  | "materialized view"
  | "view"
  | "function"
  | "sequence"
  | "foreign table"
  | "type"
  | "schema"
  | "foreign server"
  | "publication"
  | "subscription"
  | "event trigger"
  | "operator"
  | "collation"
  | "text search object"
  | "cast"
  | "statistics object";

const kindNames: Readonly<Record<ObjectKind, readonly [one: string, many: string]>> = {
  "table": ["table", "tables"],
  "large object": ["large object", "large objects"],
  "materialized view": ["materialized view", "materialized views"],
  "view": ["view", "views"],
  "function": ["function", "functions"],
  "sequence": ["sequence", "sequences"],
  "foreign table": ["foreign table", "foreign tables"],
  "type": ["type", "types"],
  "schema": ["schema", "schemas"],
  "foreign server": ["foreign server", "foreign servers"],
  "publication": ["publication", "publications"],
  "subscription": ["subscription", "subscriptions"],
  "event trigger": ["event trigger", "event triggers"],
  "operator": ["operator", "operators"],
  "collation": ["collation", "collations"],
  "text search object": ["text search object", "text search objects"],
  "cast": ["cast", "casts"],
  "statistics object": ["statistics object", "statistics objects"],
};

/** The number of tables named in a description. */
const namedTables = 3;

// 16384 is the first OID of user objects (FirstNormalObjectId)
const countStatement = `
  WITH object (kind, class, oid, namespace, owner, bytes) AS (
    SELECT CASE relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'table' WHEN 'v' THEN 'view'
                        WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table'
                        WHEN 'S' THEN 'sequence' END,
           'pg_catalog.pg_class'::pg_catalog.regclass, oid, relnamespace, relowner,
           CASE WHEN relkind IN ('r', 'm') THEN pg_catalog.pg_total_relation_size(oid)::pg_catalog.float8 ELSE 0 END
      FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND relpersistence <> 't'
    UNION ALL
    SELECT 'function', 'pg_catalog.pg_proc'::pg_catalog.regclass, oid, pronamespace, proowner, 0 FROM pg_catalog.pg_proc
    UNION ALL
    SELECT 'type', 'pg_catalog.pg_type'::pg_catalog.regclass, oid, typnamespace, typowner, 0
      FROM pg_catalog.pg_type
     WHERE typtype IN ('b', 'd', 'e', 'r')
        OR typrelid IN (SELECT oid FROM pg_catalog.pg_class WHERE relkind = 'c')
    UNION ALL
    SELECT 'operator', 'pg_catalog.pg_operator'::pg_catalog.regclass, oid, oprnamespace, oprowner, 0 FROM pg_catalog.pg_operator
    UNION ALL
    SELECT 'operator', 'pg_catalog.pg_opclass'::pg_catalog.regclass, oid, opcnamespace, opcowner, 0 FROM pg_catalog.pg_opclass
    UNION ALL
    SELECT 'operator', 'pg_catalog.pg_opfamily'::pg_catalog.regclass, oid, opfnamespace, opfowner, 0 FROM pg_catalog.pg_opfamily
    UNION ALL
    SELECT 'collation', 'pg_catalog.pg_collation'::pg_catalog.regclass, oid, collnamespace, collowner, 0
      FROM pg_catalog.pg_collation
    UNION ALL
    SELECT 'statistics object', 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, oid, stxnamespace, stxowner, 0
      FROM pg_catalog.pg_statistic_ext
    UNION ALL
    SELECT 'text search object', 'pg_catalog.pg_ts_config'::pg_catalog.regclass, oid, cfgnamespace, cfgowner, 0
      FROM pg_catalog.pg_ts_config
    UNION ALL
    SELECT 'text search object', 'pg_catalog.pg_ts_dict'::pg_catalog.regclass, oid, dictnamespace, dictowner, 0
      FROM pg_catalog.pg_ts_dict
    UNION ALL
    SELECT 'schema', 'pg_catalog.pg_namespace'::pg_catalog.regclass, oid, oid, nspowner, 0
      FROM pg_catalog.pg_namespace WHERE nspname <> 'public'
    UNION ALL
    SELECT 'foreign server', 'pg_catalog.pg_foreign_server'::pg_catalog.regclass, oid, 0, srvowner, 0
      FROM pg_catalog.pg_foreign_server
    UNION ALL
    SELECT 'publication', 'pg_catalog.pg_publication'::pg_catalog.regclass, oid, 0, pubowner, 0 FROM pg_catalog.pg_publication
    UNION ALL
    SELECT 'subscription', 'pg_catalog.pg_subscription'::pg_catalog.regclass, 16384, 0, subowner, 0 -- 12, 13 hide its oid
      FROM pg_catalog.pg_subscription
     WHERE subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
    UNION ALL
    SELECT 'event trigger', 'pg_catalog.pg_event_trigger'::pg_catalog.regclass, oid, 0, evtowner, 0
      FROM pg_catalog.pg_event_trigger
    UNION ALL
    SELECT 'cast', 'pg_catalog.pg_cast'::pg_catalog.regclass, oid, 0, 0, 0 FROM pg_catalog.pg_cast
  )
  SELECT object.kind, pg_catalog.count(*)::pg_catalog.float8 AS count, pg_catalog.sum(object.bytes)::pg_catalog.float8 AS bytes
    FROM object
    LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = object.namespace
    LEFT JOIN pg_catalog.pg_roles AS owner ON owner.oid = object.owner
   WHERE object.oid >= 16384
     AND (n.nspname IS NULL
          OR n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', ${ownSchemaList}))
     AND (owner.rolname IS NULL OR owner.rolname <> ALL ($1::pg_catalog.text[]))
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                      WHERE d.classid = object.class AND d.objid = object.oid
                        AND d.objsubid = 0
                        AND (d.deptype = 'e'                              -- an extension's
                             OR object.kind = 'sequence' AND d.deptype IN ('a', 'i') -- a column's
                                AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                             OR object.kind IN ('type', 'function', 'operator', 'cast')
                                AND d.deptype = 'i'))                     -- made with its object
   GROUP BY object.kind
   UNION ALL
  SELECT 'large object', pg_catalog.count(*)::pg_catalog.float8, pg_catalog.pg_relation_size('pg_catalog.pg_largeobject')::pg_catalog.float8
    FROM pg_catalog.pg_largeobject_metadata
  HAVING pg_catalog.count(*) > 0`;

const largestStatement = `
  SELECT n.nspname AS schema, c.relname AS name, pg_catalog.pg_total_relation_size(c.oid)::pg_catalog.float8 AS bytes
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_roles AS owner ON owner.oid = c.relowner
   WHERE c.relkind = 'r' AND c.relpersistence <> 't'
     AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', ${ownSchemaList})
     AND owner.rolname <> ALL ($1::pg_catalog.text[])
     AND ${notOfExtension("pg_class", "c.oid")}
   ORDER BY bytes DESC, n.nspname COLLATE pg_catalog."C", c.relname COLLATE pg_catalog."C"
   LIMIT $2`;

const extensionStatement = `
  SELECT extname AS name FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql'
   ORDER BY extname COLLATE pg_catalog."C"`;

/** Reads the contents of the session's database. */
export async function readContents(session: Session): Promise<DatabaseContents> {
  const providerRoles = textArray(listProviderRoles());
  const [kinds, extensions, largest] = await Promise.all([
    session.query<ObjectCount>(countStatement, [providerRoles]),
    session.query<{ name: string }>(extensionStatement),
    session.query<SizedTable>(largestStatement, [providerRoles, namedTables]),
  ]);
  const order = Object.keys(kindNames);
  const sorted = kinds.toSorted((a, b) =>
    b.bytes - a.bytes || order.indexOf(a.kind) - order.indexOf(b.kind)
  );
  return {
    empty: kinds.length === 0,
    kinds: sorted,
    largestTables: largest,
    extensions: extensions.map(({ name }) => name),
    description: describeContents(sorted, largest),
  };
}

/** The contents in words, largest first. */
function describeContents(
  kinds: readonly ObjectCount[],
  largestTables: readonly SizedTable[],
): string {
  if (kinds.length === 0) return "nothing";
  return kinds.map(({ kind, count, bytes }) => {
    const [one, many] = kindNames[kind];
    const names = kind === "table" ? namedIn(largestTables, count) : "";
    const notes = [bytes > 0 ? formatBytes(bytes) : "", names].filter((text) => text !== "");
    return plural(count, one, many) + (notes.length === 0 ? "" : ` (${notes.join(": ")})`);
  }).join(", ");
}

function namedIn(tables: readonly TableName[], count: number): string {
  const names = tables.map(displayName).join(", ");
  return tables.length < count && tables.length > 0 ? `${names}, …` : names;
}
