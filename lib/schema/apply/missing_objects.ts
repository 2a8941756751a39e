/**
 * Finds the objects that tables need and the target lacks: schemas, types, sequences, functions,
 * collations, extensions, extended statistics.
 *
 * @module
 */
import type { Session } from "../../postgres/internal.ts";
import type { DumpStatement } from "../parse/dump_reader.ts";

/** An object as pg_dump names it in the comments of a dump. */
export interface SchemaObject {
  /** `TYPE`, `DOMAIN`, `SEQUENCE`, `FUNCTION`, `SCHEMA` … */
  readonly type: string;
  /** Undefined for schemas and extensions. */
  readonly schema: string | undefined;
  /** `mood`, `f(integer, public.mood)`. */
  readonly name: string;
}

// the session's search_path is empty like pg_dump's, so that types are formatted alike
const objectsStatement = `
  WITH user_schema AS (
    SELECT oid, nspname FROM pg_catalog.pg_namespace
     WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
  )
  SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass::pg_catalog.oid AS class, oid,
         'SCHEMA' AS type, NULL AS schema, nspname::pg_catalog.text AS name
    FROM user_schema
  UNION ALL
  SELECT 'pg_catalog.pg_extension'::pg_catalog.regclass, oid, 'EXTENSION', NULL, extname
    FROM pg_catalog.pg_extension
  UNION ALL
  SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid,
         CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, n.nspname, t.typname
    FROM pg_catalog.pg_type AS t
    JOIN user_schema AS n ON n.oid = t.typnamespace
    LEFT JOIN pg_catalog.pg_class AS c ON c.oid = t.typrelid
   WHERE coalesce(c.relkind = 'c', true) AND t.typtype <> 'm'
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_type AS e WHERE e.typarray = t.oid)
  UNION ALL
  SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, c.oid, 'SEQUENCE', n.nspname, c.relname
    FROM pg_catalog.pg_class AS c
    JOIN user_schema AS n ON n.oid = c.relnamespace
   WHERE c.relkind = 'S'
  UNION ALL
  SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid,
         CASE p.prokind WHEN 'p' THEN 'PROCEDURE' WHEN 'a' THEN 'AGGREGATE' ELSE 'FUNCTION' END,
         n.nspname,
         pg_catalog.format('%s(%s)', p.proname,
           (SELECT pg_catalog.string_agg(pg_catalog.format_type(a.type, NULL), ', ' ORDER BY a.n)
              FROM pg_catalog.unnest(p.proargtypes) WITH ORDINALITY AS a (type, n)))
    FROM pg_catalog.pg_proc AS p
    JOIN user_schema AS n ON n.oid = p.pronamespace
  UNION ALL
  SELECT 'pg_catalog.pg_collation'::pg_catalog.regclass, c.oid, 'COLLATION', n.nspname, c.collname
    FROM pg_catalog.pg_collation AS c
    JOIN user_schema AS n ON n.oid = c.collnamespace
  UNION ALL
  SELECT 'pg_catalog.pg_ts_config'::pg_catalog.regclass, c.oid, 'TEXT SEARCH CONFIGURATION',
         n.nspname, c.cfgname
    FROM pg_catalog.pg_ts_config AS c
    JOIN user_schema AS n ON n.oid = c.cfgnamespace
  UNION ALL
  SELECT 'pg_catalog.pg_ts_dict'::pg_catalog.regclass, d.oid, 'TEXT SEARCH DICTIONARY',
         n.nspname, d.dictname
    FROM pg_catalog.pg_ts_dict AS d
    JOIN user_schema AS n ON n.oid = d.dictnamespace
  UNION ALL
  SELECT 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, s.oid, 'STATISTICS', n.nspname, s.stxname
    FROM pg_catalog.pg_statistic_ext AS s
    JOIN user_schema AS n ON n.oid = s.stxnamespace
  UNION ALL
  SELECT 'pg_catalog.pg_operator'::pg_catalog.regclass, o.oid, 'OPERATOR', n.nspname, o.oprname
    FROM pg_catalog.pg_operator AS o
    JOIN user_schema AS n ON n.oid = o.oprnamespace
  UNION ALL
  SELECT 'pg_catalog.pg_opfamily'::pg_catalog.regclass, o.oid, 'OPERATOR FAMILY', n.nspname, o.opfname
    FROM pg_catalog.pg_opfamily AS o
    JOIN user_schema AS n ON n.oid = o.opfnamespace
  UNION ALL
  SELECT 'pg_catalog.pg_opclass'::pg_catalog.regclass, o.oid, 'OPERATOR CLASS', n.nspname, o.opcname
    FROM pg_catalog.pg_opclass AS o
    JOIN user_schema AS n ON n.oid = o.opcnamespace`;

// pg_dump --table omits statistics objects. In pg_depend objects refer to what they need (forward);
// the parts of a table refer to it (backward): keys, defaults, indexes, triggers, policies, owned
// sequences. So do the checks of a domain and the columns of a composite type.
const neededStatement = `
  WITH RECURSIVE needed (class, oid) AS (
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid, t.oid
      FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS t (oid)
    UNION
    SELECT d.class, d.oid
      FROM needed AS n
     CROSS JOIN LATERAL (
       SELECT refclassid AS class, refobjid AS oid
         FROM pg_catalog.pg_depend
        WHERE classid = n.class AND objid = n.oid AND refobjid >= 16384
       UNION ALL
       SELECT d.classid, d.objid
         FROM pg_catalog.pg_depend AS d
         LEFT JOIN pg_catalog.pg_class AS c
           ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = d.objid
        WHERE d.refclassid = n.class AND d.refobjid = n.oid AND d.deptype IN ('a', 'i')
          AND CASE
                WHEN n.class = 'pg_catalog.pg_class'::pg_catalog.regclass
                  THEN n.oid = ANY ($1::pg_catalog.oid[]) AND coalesce(c.relkind IN ('i', 'I', 'S'), true)
                WHEN n.class = 'pg_catalog.pg_type'::pg_catalog.regclass
                  THEN coalesce(c.relkind = 'c', d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass)
              END
     ) AS d
  )
  SELECT class, oid FROM needed`;

type ObjectRow = SchemaObject & { readonly class: number; readonly oid: number };

const listObjects = (session: Session): Promise<readonly ObjectRow[]> =>
  session.query<ObjectRow>(objectsStatement);

function schemaObjectKey({ type, schema, name }: SchemaObject): string {
  return JSON.stringify([type, schema ?? null, withoutQuotes(name)]);
}

/** Whether argument types are quoted depends on the session's settings. */
function withoutQuotes(name: string): string {
  return name.replaceAll('"', "");
}

/**
 * Objects that tables of the source depend on, directly or not, and that the target lacks.
 */
export async function findMissingObjects(
  { source, target, relations }: {
    readonly source: Session;
    readonly target: Session;
    /** OIDs of relations of the source. */
    readonly relations: readonly number[];
  },
): Promise<readonly SchemaObject[]> {
  const needed = new Set(
    (await source.query<{ readonly class: number; readonly oid: number }>(neededStatement, [
      `{${relations.join(",")}}`,
    ])).map((each) => `${each.class}/${each.oid}`),
  );
  const existing = new Set((await listObjects(target)).map(schemaObjectKey));
  return (await listObjects(source)).filter((object) =>
    needed.has(`${object.class}/${object.oid}`) && !existing.has(schemaObjectKey(object))
  );
}

/**
 * Selects from the statements of a whole schema those of some tables and other objects, with
 * comments, owners and privileges, in their order.
 *
 * @param own the statements that the same pg_dump writes for the tables alone
 */
export function selectStatements(
  all: readonly DumpStatement[],
  { own, objects }: {
    readonly own: readonly DumpStatement[];
    readonly objects: readonly SchemaObject[];
  },
): readonly DumpStatement[] {
  const ofTables = new Set(own.map(({ sql }) => sql));
  const selected = new Set(objects.map(schemaObjectKey));
  const isSelected = ({ sql, type, schema, name }: DumpStatement): boolean => {
    if (type === undefined || name === undefined) return true; // settings
    if (ofTables.has(sql)) return true;
    const objectType = type === "SHELL TYPE" ? "TYPE" : type.replace(/ OWNED BY$/, "");
    if (selected.has(schemaObjectKey({ type: objectType, schema, name }))) return true;
    // a NOT VALID constraint of a domain: "pos positive"
    if (type === "CHECK CONSTRAINT" && sql.startsWith("ALTER DOMAIN ")) {
      return objects.some((object) =>
        object.type === "DOMAIN" && object.schema === schema && name.startsWith(`${object.name} `)
      );
    }
    // "TYPE mood", "FUNCTION f(integer)", "COLUMN pair.a"
    return objects.some((object) =>
      withoutQuotes(name) === withoutQuotes(`${object.type} ${object.name}`) &&
        (object.schema ?? schema) === schema ||
      object.type === "TYPE" && object.schema === schema &&
        name.startsWith(`COLUMN ${object.name}.`)
    );
  };
  return all.filter(isSelected);
}

/**
 * Moves ATTACH after keys and indexes, for tables that are completed before they get rows: ATTACH
 * then finds the partition's own keys and indexes. Attached earlier, the partition would get them
 * from its parent, and its own would be refused.
 */
export function attachAfterKeys(statements: readonly DumpStatement[]): readonly DumpStatement[] {
  const isKey = ({ type }: DumpStatement) => type === "CONSTRAINT" || type === "INDEX";
  const isAttach = ({ type }: DumpStatement) => type === "TABLE ATTACH";
  const lastKey = statements.findLastIndex(isKey);
  const firstIndexAttach = statements.findIndex(({ type }) => type === "INDEX ATTACH");
  const end = firstIndexAttach >= 0 ? firstIndexAttach : lastKey + 1;
  if (end <= 0) return statements;
  const before = statements.slice(0, end);
  return [
    ...before.filter((statement) => !isAttach(statement)),
    ...before.filter(isAttach),
    ...statements.slice(end),
  ];
}

/**
 * Statements that make triggers fire with session_replication_role = replica, which rows are copied
 * under: they must run after the rows are copied.
 */
export function firesForReplica({ sql, type }: DumpStatement): boolean {
  return type === "TRIGGER" && /^ALTER TABLE .* ENABLE (?:ALWAYS|REPLICA) TRIGGER /s.test(sql);
}
