/** The servers' versions as far as they matter to a query. */
export interface Versions {
  /** The older server's major. */
  readonly oldest: number;
  /** Both have the same major, so that texts which the server formats can be compared. */
  readonly same: boolean;
}

/**
 * A set of facts about a server, all of one kind: a query whose column `name` says what each row is
 * about.
 */
export interface FactQuery {
  readonly kind: string;
  /** One standalone statement, for both servers alike. */
  readonly sql: (versions: Versions) => string;
}

/** Schemas that are nobody's own. */
export const USER_SCHEMA = `n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`;

/** A condition: the object does not belong to an extension. */
export function notOfExtension(catalog: string, oid: string): string {
  return `NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_catalog.${catalog}'::regclass
    AND e.objid = ${oid} AND e.deptype = 'e')`;
}

/**
 * The privileges of an access list, by name and in order; a list that is NULL stands for the
 * default.
 */
export function privileges(acl: string, type: string, owner: string, versions: Versions): string {
  return explode(`COALESCE(${acl}, acldefault('${type}', ${owner}))`, versions);
}

/** The privileges of an access list that is taken as it is. */
export function explode(acl: string, versions: Versions): string {
  // MAINTAIN is new in 17: GRANT ALL of an older server does not mean it.
  const known = versions.oldest < 17 ? `WHERE a.privilege_type <> 'MAINTAIN'` : "";
  return `(SELECT string_agg(p, ' ' ORDER BY p COLLATE "C") FROM (
    SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END || '=' || a.privilege_type ||
      CASE WHEN a.is_grantable THEN '*' ELSE '' END || '/' || pg_get_userbyid(a.grantor) AS p
    FROM aclexplode(${acl}) AS a ${known}) AS privileges)`;
}

/** Names of a list in order, as one text. */
export function sorted(array: string): string {
  return `(SELECT string_agg(x::text, ', ' ORDER BY x::text COLLATE "C") FROM unnest(${array}) AS x)`;
}
