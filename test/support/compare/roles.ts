import { type FactQuery, sorted } from "./fact.ts";

/** Objects shared by the whole server. */
export const ROLES: readonly FactQuery[] = [
  {
    kind: "role",
    sql: () => `
SELECT r.rolname AS name, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin, r.rolreplication,
  r.rolbypassrls, r.rolconnlimit, r.rolvaliduntil::text AS valid_until, shobj_description(r.oid, 'pg_authid') AS comment
FROM pg_roles AS r WHERE r.rolname !~ '^pg_'`,
  },
  {
    kind: "role password",
    sql: () => `SELECT rolname AS name, rolpassword AS hash FROM pg_authid WHERE rolname !~ '^pg_'`,
  },
  {
    kind: "role setting",
    sql: () => `
SELECT CASE s.setrole WHEN 0 THEN 'everybody' ELSE pg_get_userbyid(s.setrole)::text END AS name, ${
      sorted("s.setconfig")
    } AS settings
FROM pg_db_role_setting AS s WHERE s.setdatabase = 0`,
  },
  {
    kind: "membership",
    // since version 16 a role can be granted several times, by different grantors with different
    // options
    sql: (v) =>
      v.oldest >= 16
        ? `
SELECT m.roleid::regrole || ' to ' || m.member::regrole || ' by ' || m.grantor::regrole AS name,
  m.admin_option, m.inherit_option, m.set_option
FROM pg_auth_members AS m WHERE m.member::regrole::text !~ '^pg_'`
        : `
SELECT m.roleid::regrole || ' to ' || m.member::regrole AS name, bool_or(m.admin_option) AS admin_option
FROM pg_auth_members AS m WHERE m.member::regrole::text !~ '^pg_' GROUP BY m.roleid, m.member`,
  },
];
