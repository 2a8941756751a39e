/**
 * Reads roles, memberships, tablespaces and parameter privileges from the catalogs.
 *
 * @module
 */
import { Secret } from "../../core/internal.ts";
import type { Session } from "../../postgres/internal.ts";
import {
  creatableLocation,
  type GlobalObject,
  type MembershipObject,
  type ParameterGrantObject,
  parseSetting,
  type RoleObject,
  type SecurityLabel,
  sortGlobals,
  type TablespaceObject,
} from "./model.ts";

/**
 * Reads all globals of a server except its `pg_*` roles. Every role can read them, except the
 * passwords, which are omitted when `pg_authid` is not readable.
 */
export async function readGlobals(session: Session): Promise<readonly GlobalObject[]> {
  const passwords = await canReadPasswords(session);
  const objects = await Promise.all([
    readRoles(session, passwords),
    readMemberships(session),
    readCommonSettings(session),
    readTablespaces(session),
    session.majorVersion >= 15 ? readParameterGrants(session) : [],
  ]);
  return sortGlobals(objects.flat());
}

/** Whether the session may read the password verifiers. */
export async function canReadPasswords(session: Session): Promise<boolean> {
  const { readable } = await session.queryOne<{ readable: boolean }>(
    "SELECT pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT') AS readable",
  );
  return readable;
}

/** The name of the role that initdb created. */
export async function bootstrapRole(session: Session): Promise<string> {
  const { name } = await session.queryOne<{ name: string }>(
    "SELECT rolname AS name FROM pg_catalog.pg_roles WHERE oid = 10",
  );
  return name;
}

interface RoleRow extends Record<string, unknown> {
  readonly name: string;
  readonly superuser: boolean;
  readonly inherit: boolean;
  readonly create_role: boolean;
  readonly create_database: boolean;
  readonly login: boolean;
  readonly replication: boolean;
  readonly bypass_rls: boolean;
  readonly connection_limit: number;
  readonly valid_until: string | null;
  readonly password: string | null;
  readonly comment: string | null;
  readonly settings: readonly string[] | null;
  readonly labels: readonly SecurityLabel[] | null;
}

async function readRoles(session: Session, passwords: boolean): Promise<readonly RoleObject[]> {
  const rows = await session.query<RoleRow>(`
    SELECT r.rolname AS name, r.rolsuper AS superuser, r.rolinherit AS inherit,
           r.rolcreaterole AS create_role, r.rolcreatedb AS create_database,
           r.rolcanlogin AS login, r.rolreplication AS replication, r.rolbypassrls AS bypass_rls,
           r.rolconnlimit AS connection_limit, r.rolvaliduntil::pg_catalog.text AS valid_until,
           ${passwords ? "r.rolpassword" : "NULL::pg_catalog.text"} AS password,
           pg_catalog.shobj_description(r.oid, 'pg_authid') AS comment,
           (SELECT pg_catalog.to_json(s.setconfig) FROM pg_catalog.pg_db_role_setting AS s
             WHERE s.setrole = r.oid AND s.setdatabase = 0) AS settings,
           (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('provider', l.provider, 'label', l.label) ORDER BY l.provider)
              FROM pg_catalog.pg_shseclabel AS l
             WHERE l.objoid = r.oid AND l.classoid = 'pg_catalog.pg_authid'::pg_catalog.regclass) AS labels
      FROM pg_catalog.${passwords ? "pg_authid" : "pg_roles"} AS r
     WHERE r.rolname !~ '^pg_'`);
  return rows.map((row) => ({
    kind: "role",
    name: row.name,
    attributes: {
      superuser: row.superuser,
      inherit: row.inherit,
      createRole: row.create_role,
      createDatabase: row.create_database,
      login: row.login,
      replication: row.replication,
      bypassRls: row.bypass_rls,
      connectionLimit: row.connection_limit,
      validUntil: row.valid_until ?? undefined,
    },
    password: row.password === null ? undefined : new Secret(row.password),
    settings: (row.settings ?? []).map(parseSetting),
    comment: row.comment ?? undefined,
    securityLabels: row.labels ?? [],
  }));
}

async function readMemberships(session: Session): Promise<readonly MembershipObject[]> {
  const options = session.majorVersion >= 16
    ? "m.inherit_option AS inherit, m.set_option AS set"
    : "NULL::boolean AS inherit, NULL::boolean AS set";
  const rows = await session.query<
    {
      role: string;
      member: string;
      grantor: string | null;
      admin: boolean;
      inherit: boolean | null;
      set: boolean | null;
    }
  >(`
    SELECT r.rolname AS role, u.rolname AS member, g.rolname AS grantor,
           m.admin_option AS admin, ${options}
      FROM pg_catalog.pg_auth_members AS m
      JOIN pg_catalog.pg_roles AS r ON r.oid = m.roleid
      JOIN pg_catalog.pg_roles AS u ON u.oid = m.member
      LEFT JOIN pg_catalog.pg_roles AS g ON g.oid = m.grantor AND g.oid <> 10
     WHERE NOT (r.rolname ~ '^pg_' AND u.rolname ~ '^pg_')`);
  return rows.map(({ grantor, inherit, set, ...row }) => ({
    kind: "membership",
    ...row,
    inherit: inherit ?? undefined,
    set: set ?? undefined,
    grantor: grantor ?? undefined,
  }));
}

/** Reads the settings of `ALTER ROLE ALL SET`. */
export async function readCommonSettings(session: Session): Promise<readonly GlobalObject[]> {
  const rows = await session.query<{ entry: string }>(`
    SELECT pg_catalog.unnest(setconfig) AS entry FROM pg_catalog.pg_db_role_setting
     WHERE setrole = 0 AND setdatabase = 0`);
  return rows.map(({ entry }) => ({ kind: "common-setting", setting: parseSetting(entry) }));
}

async function readTablespaces(session: Session): Promise<readonly TablespaceObject[]> {
  const rows = await session.query<
    {
      name: string;
      owner: string;
      location: string;
      options: readonly string[] | null;
      grants: TablespaceObject["grants"] | null;
      comment: string | null;
    }
  >(`
    SELECT t.spcname AS name, pg_catalog.pg_get_userbyid(t.spcowner) AS owner,
           pg_catalog.pg_tablespace_location(t.oid) AS location, pg_catalog.to_json(t.spcoptions) AS options,
           pg_catalog.shobj_description(t.oid, 'pg_tablespace') AS comment,
           (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('grantee', g.rolname, 'grantable', a.is_grantable)
                            ORDER BY g.rolname)
              FROM pg_catalog.aclexplode(t.spcacl) AS a
              LEFT JOIN pg_catalog.pg_roles AS g ON g.oid = a.grantee
             WHERE a.grantee <> t.spcowner) AS grants
      FROM pg_catalog.pg_tablespace AS t
     WHERE t.spcname !~ '^pg_'`);
  return rows.map(({ options, grants, comment, ...row }) => ({
    kind: "tablespace",
    ...row,
    location: creatableLocation(row.location),
    options: options ?? [],
    grants: (grants ?? []).map(({ grantee, grantable }) => ({
      grantee: grantee ?? undefined,
      grantable,
    })),
    comment: comment ?? undefined,
  }));
}

async function readParameterGrants(session: Session): Promise<readonly ParameterGrantObject[]> {
  const rows = await session.query<
    {
      parameter: string;
      privilege: ParameterGrantObject["privilege"];
      grantee: string | null;
      grantable: boolean;
    }
  >(`
    SELECT p.parname AS parameter, a.privilege_type AS privilege, g.rolname AS grantee,
           a.is_grantable AS grantable
      FROM pg_catalog.pg_parameter_acl AS p
     CROSS JOIN LATERAL pg_catalog.aclexplode(p.paracl) AS a
      LEFT JOIN pg_catalog.pg_roles AS g ON g.oid = a.grantee
     WHERE a.grantee <> 10`);
  return rows.map(({ grantee, ...row }) => ({
    kind: "parameter-grant",
    ...row,
    grantee: grantee ?? undefined,
  }));
}
