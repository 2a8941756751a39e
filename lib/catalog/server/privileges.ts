/**
 * Reads the privileges of the session's role.
 *
 * @module
 */
import { type Session, textArray } from "../../postgres/internal.ts";
import { listProviderRoles, providerGrantingRoles } from "./provider_names.ts";
import { notOfExtension } from "../extension_members.ts";

/** The session's role. */
export type RolePrivileges = {
  readonly name: string;
  readonly superuser: boolean;
  readonly createRole: boolean;
  readonly createDatabase: boolean;
  /** The attribute; some providers use a role instead, see {@linkcode mayReplicate}. */
  readonly replication: boolean;
  readonly bypassRowSecurity: boolean;
  /** Its connection limit; undefined for none. */
  readonly connectionLimit: number | undefined;
  /** Whether it may read `pg_authid`, which contains the passwords. */
  readonly readsPasswords: boolean;
  /** Predefined and provider roles whose privileges it has. */
  readonly memberOf: readonly string[];
};

const roleStatement = `
  SELECT r.rolname AS name, r.rolsuper AS superuser, r.rolcreaterole AS create_role,
         r.rolcreatedb AS create_database, r.rolreplication AS replication,
         r.rolbypassrls AS bypass_row_security,
         CASE WHEN r.rolconnlimit >= 0 THEN r.rolconnlimit END AS connection_limit,
         pg_catalog.has_table_privilege('pg_authid', 'SELECT') AS reads_passwords,
         (SELECT coalesce(pg_catalog.json_agg(other.rolname ORDER BY other.rolname COLLATE pg_catalog."C"), '[]')
            FROM pg_catalog.pg_roles AS other
           WHERE other.oid <> r.oid AND pg_catalog.pg_has_role(other.oid, 'USAGE')
             AND (other.rolname ~ '^pg_' OR other.rolname = ANY ($1::pg_catalog.text[]))) AS member_of
    FROM pg_catalog.pg_roles AS r
   WHERE r.rolname = current_user`;

type RoleRow = {
  readonly name: string;
  readonly superuser: boolean;
  readonly create_role: boolean;
  readonly create_database: boolean;
  readonly replication: boolean;
  readonly bypass_row_security: boolean;
  readonly connection_limit: number | null;
  readonly reads_passwords: boolean;
  readonly member_of: readonly string[];
};

/** Reads the privileges of the session's role. */
export async function readRolePrivileges(session: Session): Promise<RolePrivileges> {
  const row = await session.queryOne<RoleRow>(roleStatement, [textArray(providerGrantingRoles)]);
  return {
    name: row.name,
    superuser: row.superuser,
    createRole: row.create_role,
    createDatabase: row.create_database,
    replication: row.replication,
    bypassRowSecurity: row.bypass_row_security,
    connectionLimit: row.connection_limit ?? undefined,
    readsPasswords: row.reads_passwords,
    memberOf: row.member_of,
  };
}

/**
 * Whether the role may create replication slots. On RDS a role replaces the attribute; admin roles
 * of other providers can only grant the attribute.
 */
export function mayReplicate({ superuser, replication, memberOf }: RolePrivileges): boolean {
  return superuser || replication || memberOf.includes("rds_replication");
}

/**
 * Whether the role may create subscriptions: through a predefined role since 16, or through a
 * provider's role.
 */
export function maySubscribe({ superuser, memberOf }: RolePrivileges): boolean {
  const sufficient = [
    "pg_create_subscription",
    "rds_superuser",
    "cloudsqlsuperuser",
    "alloydbsuperuser",
    "azure_pg_admin",
    "neon_superuser",
  ];
  return superuser || sufficient.some((role) => memberOf.includes(role));
}

/** The role's access to a table. */
export type TableAccess = {
  readonly schema: string;
  readonly name: string;
  readonly schemaUsable: boolean;
  readonly selectable: boolean;
  /**
   * Whether row-level security would hide rows; with `row_security = off` reading fails instead.
   */
  readonly rowsHidden: boolean;
  /** Whether the role owns it, directly or by membership, which publishing requires. */
  readonly owned: boolean;
};

const accessStatement = `
  SELECT n.nspname AS schema, c.relname AS name,
         pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS schema_usable,
         pg_catalog.has_table_privilege(c.oid, 'SELECT') AS selectable,
         pg_catalog.row_security_active(c.oid) AS rows_hidden,
         pg_catalog.pg_has_role(c.relowner, 'USAGE') AS owned
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
     AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
     AND (EXISTS (SELECT FROM pg_catalog.pg_extension AS e WHERE c.oid = ANY (e.extconfig))
          OR ${notOfExtension("pg_class", "c.oid")})
   ORDER BY n.nspname COLLATE pg_catalog."C", c.relname COLLATE pg_catalog."C"`;

type AccessRow = {
  readonly schema: string;
  readonly name: string;
  readonly schema_usable: boolean;
  readonly selectable: boolean;
  readonly rows_hidden: boolean;
  readonly owned: boolean;
};

/**
 * The role's access to each table, including partitioned ones, which pg_dump locks too.
 */
export async function listTableAccess(session: Session): Promise<readonly TableAccess[]> {
  const rows = await session.query<AccessRow>(accessStatement);
  return rows.map((row) => ({
    schema: row.schema,
    name: row.name,
    schemaUsable: row.schema_usable,
    selectable: row.selectable,
    rowsHidden: row.rows_hidden,
    owned: row.owned,
  }));
}

/** The role's privileges in a target database. */
export type DatabasePrivileges = {
  /** Its name on the server; a pooler may use another name. */
  readonly database: string;
  readonly createSchemas: boolean;
  /** Undefined when schema `public` does not exist. */
  readonly createInPublic: boolean | undefined;
  readonly owned: boolean;
};

const databaseStatement = `
  SELECT d.datname AS database,
         pg_catalog.has_database_privilege(d.oid, 'CREATE') AS create_schemas,
         (SELECT pg_catalog.has_schema_privilege(oid, 'CREATE') FROM pg_catalog.pg_namespace
           WHERE nspname = 'public') AS create_in_public,
         pg_catalog.pg_has_role(d.datdba, 'USAGE') AS owned
    FROM pg_catalog.pg_database AS d
   WHERE d.datname = pg_catalog.current_database()`;

type DatabaseRow = {
  readonly database: string;
  readonly create_schemas: boolean;
  readonly create_in_public: boolean | null;
  readonly owned: boolean;
};

/** Reads the role's privileges in the session's database. */
export async function readDatabasePrivileges(session: Session): Promise<DatabasePrivileges> {
  const row = await session.queryOne<DatabaseRow>(databaseStatement);
  return {
    database: row.database,
    createSchemas: row.create_schemas,
    createInPublic: row.create_in_public ?? undefined,
    owned: row.owned,
  };
}

/** A role with the attributes that managed servers do not grant. */
export type RoleAttributes = {
  readonly name: string;
  readonly superuser: boolean;
  readonly replication: boolean;
  readonly bypassRowSecurity: boolean;
  readonly canLogin: boolean;
};

const rolesStatement = `
  SELECT rolname AS name, rolsuper AS superuser, rolreplication AS replication,
         rolbypassrls AS bypass_row_security, rolcanlogin AS can_login
    FROM pg_catalog.pg_roles
   WHERE rolname !~ '^pg_' AND rolname <> ALL ($1::pg_catalog.text[])
   ORDER BY rolname COLLATE pg_catalog."C"`;

/** All roles except predefined ones and those of providers. */
export async function listRoles(session: Session): Promise<readonly RoleAttributes[]> {
  const rows = await session.query<
    {
      name: string;
      superuser: boolean;
      replication: boolean;
      bypass_row_security: boolean;
      can_login: boolean;
    }
  >(rolesStatement, [textArray([...listProviderRoles(), ...providerGrantingRoles])]);
  return rows.map((row) => ({
    name: row.name,
    superuser: row.superuser,
    replication: row.replication,
    bypassRowSecurity: row.bypass_row_security,
    canLogin: row.can_login,
  }));
}
