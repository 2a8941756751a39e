/** The servers' versions, as far as queries depend on them. */
export interface Versions {
  /** The older server's major version. */
  readonly oldest: number;
  /**
   * Whether both have the same major version, so that text formatted by the server is comparable.
   */
  readonly same: boolean;
}

/**
 * A set of facts about a server, all of one kind: a query whose column `name` identifies the object
 * of each row.
 */
export interface FactQuery {
  readonly kind: string;
  /** A complete statement, the same for both servers. */
  readonly sql: (versions: Versions) => string;
}

/** System schemas. */
export const USER_SCHEMA = `n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`;

/** A condition: the object does not belong to an extension. */
export function notOfExtension(catalog: string, oid: string): string {
  return `NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_catalog.${catalog}'::regclass
    AND e.objid = ${oid} AND e.deptype = 'e')`;
}

/**
 * The privileges of an ACL, by name and ordered; NULL stands for the default.
 */
export function privileges(acl: string, type: string, owner: string, versions: Versions): string {
  return explode(`COALESCE(${acl}, acldefault('${type}', ${owner}))`, versions);
}

/** The privileges of an explicit ACL. */
export function explode(acl: string, versions: Versions): string {
  // MAINTAIN is new in 17: GRANT ALL of an older server does not mean it.
  const known = versions.oldest < 17 ? `WHERE a.privilege_type <> 'MAINTAIN'` : "";
  return `(SELECT string_agg(p, ' ' ORDER BY p COLLATE "C") FROM (
    SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END || '=' || a.privilege_type ||
      CASE WHEN a.is_grantable THEN '*' ELSE '' END || '/' || pg_get_userbyid(a.grantor) AS p
    FROM aclexplode(${acl}) AS a ${known}) AS privileges)`;
}

/** The sorted names of a list, as one text. */
export function sorted(array: string): string {
  return `(SELECT string_agg(x::text, ', ' ORDER BY x::text COLLATE "C") FROM unnest(${array}) AS x)`;
}
