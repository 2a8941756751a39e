/**
 * Queries that read facts about one kind of object, with the same result on all versions.
 *
 * @module
 */

/** The source of facts about one kind of object: SQL expressions over one FROM clause. */
export interface FactSource {
  /** The noun: `index`. */
  readonly kind: string;
  /** The section of the report. */
  readonly section: string;
  /** FROM and WHERE. */
  readonly from: string;
  readonly schema?: string;
  /** The relation, type or role that the object belongs to. */
  readonly parent?: string;
  readonly name: string;
  readonly owner?: string;
  /** An ACL, and the type code for `acldefault` if it has a default. */
  readonly acl?: { readonly list: string; readonly letter?: string; readonly owner?: string };
  readonly comment?: string;
  /** Property → expression; NULL is equivalent to absent. */
  readonly facts?: Readonly<Record<string, string>>;
  /** Property → expression for an array whose order is irrelevant. */
  readonly sets?: Readonly<Record<string, string>>;
  /** Property → SQL as printed by the server, which differs between versions. */
  readonly definitions?: Readonly<Record<string, string>>;
}

/** A row returned by the statement of {@linkcode factStatement}. */
export type FactRow = {
  readonly schema: string | null;
  readonly parent: string | null;
  readonly name: string;
  readonly owner: string | null;
  /** Grantee (null: PUBLIC, true: the owner) and privilege. */
  readonly grants: readonly (readonly [string | true | null, string])[] | null;
  readonly comment: string | null;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly sets: Readonly<Record<string, readonly string[] | null>>;
  readonly definitions: Readonly<Record<string, string | null>>;
};

/** A complete statement that returns {@linkcode FactRow}s. */
export function factStatement(source: FactSource): string {
  const object = (entries: Readonly<Record<string, string>> = {}) =>
    `pg_catalog.json_build_object(${
      Object.entries(entries).map(([label, expression]) => `'${label}', ${expression}`).join(
        ",\n         ",
      )
    })`;
  const sets = Object.fromEntries(
    Object.entries(source.sets ?? {}).map(([label, array]) => [label, sorted(array)]),
  );
  return `
  SELECT ${source.schema ?? "NULL"} AS schema, ${source.parent ?? "NULL"} AS parent,
         ${source.name} AS name,
         ${source.owner === undefined ? "NULL" : roleName(source.owner)} AS owner,
         ${source.acl === undefined ? "NULL" : grants(source.acl, source.owner)} AS grants,
         ${source.comment ?? "NULL"} AS comment,
         ${object(source.facts)} AS facts,
         ${object(sets)} AS sets,
         ${object(source.definitions)} AS definitions
    ${source.from}`;
}

/** An expression for a role's name, given its OID. */
export function roleName(oid: string): string {
  return `pg_catalog.pg_get_userbyid(${oid})::pg_catalog.text`;
}

function grants(
  { list, letter, owner: given }: NonNullable<FactSource["acl"]>,
  objectOwner: string | undefined,
): string {
  const owner = given ?? objectOwner ?? "0::pg_catalog.oid";
  const whole = letter === undefined
    ? list
    : `coalesce(${list}, pg_catalog.acldefault('${letter}', ${owner}))`;
  return `(SELECT pg_catalog.json_agg(pg_catalog.json_build_array(
            CASE WHEN g.grantee = 0 THEN 'null'::pg_catalog.json WHEN g.grantee = ${owner} THEN 'true'::pg_catalog.json
                 ELSE pg_catalog.to_json(${roleName("g.grantee")}) END,
            g.privilege_type || CASE WHEN g.is_grantable AND g.grantee <> ${owner}
                                     THEN ' WITH GRANT OPTION' ELSE '' END))
           FROM pg_catalog.aclexplode(${whole}) AS g)`;
}

/** The sorted elements of an array, as JSON. */
function sorted(array: string): string {
  return `(SELECT pg_catalog.json_agg(member ORDER BY member COLLATE pg_catalog."C")
            FROM (SELECT pg_catalog.unnest(${array})::pg_catalog.text AS member) AS members)`;
}

/** Excludes system and temporary schemas; the schema's alias is `n`. */
export const userSchema = `n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`;

/** Excludes members of extensions. */
export { notOfExtension as ownObject } from "../../../catalog/internal.ts";

/** Translates one-letter codes into words. */
export function word(expression: string, words: Readonly<Record<string, string>>): string {
  const cases = Object.entries(words).map(([code, text]) => `WHEN '${code}' THEN '${text}'`);
  return `CASE ${expression} ${cases.join(" ")} ELSE ${expression}::pg_catalog.text END`;
}

/** A column that only some versions have, as text; `alias` is the catalog's alias. */
export function column(alias: string, name: string): string {
  return `(pg_catalog.to_jsonb(${alias}) ->> '${name}')`;
}

/** A collation's name; `regcollation` exists only since version 13. */
export function collationName(oid: string): string {
  return `(SELECT pg_catalog.quote_ident(cn.nspname) || '.' || pg_catalog.quote_ident(co.collname)
             FROM pg_catalog.pg_collation AS co JOIN pg_catalog.pg_namespace AS cn ON cn.oid = co.collnamespace
            WHERE co.oid = ${oid})`;
}

/** Whether a trigger or rule fires. */
export function firing(code: string): string {
  return word(code, { O: "enabled", D: "disabled", R: "replica only", A: "always" });
}
