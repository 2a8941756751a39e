import { displayName, plural, quoteIdentifier } from "../../core/internal.ts";
import type { PlannedDatabase } from "../shared/database_plan.ts";
import type { Check } from "../shared/validation_report.ts";
import { fail, listNames, pass, warn } from "./check.ts";
import type { ServerFacts, SourceDatabaseFacts, TargetDatabaseFacts } from "./facts.ts";
import { readAllRemedy } from "./remedies.ts";

/** May the role create databases and roles on the target? */
export function checkTargetRole(
  { role }: Pick<ServerFacts, "role">,
  planned: readonly Pick<PlannedDatabase, "action" | "target">[],
): readonly Check[] {
  const name = quoteIdentifier(role.name);
  const create = planned.filter(({ action }) => action === "create" || action === "drop-and-create")
    .map(({ target }) => target);
  const subject = { id: "create-database", side: "target" } as const;
  const databases = create.length === 0
    ? pass(subject, "no database needs to be created")
    : role.superuser || role.createDatabase
    ? pass(subject, `${role.name} may create ${plural(create.length, "database")}`)
    : fail(subject, {
      finding: `${role.name} may not create databases, but ${listNames(create)} must be created`,
      fix: `ALTER ROLE ${name} CREATEDB; or create ${
        create.length === 1 ? "it" : "them"
      } empty: CREATE DATABASE ${quoteIdentifier(create[0]!)} OWNER ${name};`,
    });
  const roleSubject = { id: "create-roles", side: "target" } as const;
  const roles = role.superuser || role.createRole
    ? pass(roleSubject, `${role.name} may create roles`)
    : warn(roleSubject, {
      finding:
        `${role.name} may not create roles: ownership and grants of roles that the target lacks are lost`,
      fix: `ALTER ROLE ${name} CREATEROLE; or create the roles of the source first`,
    });
  return [databases, roles];
}

/** May the role fill or drop an existing database? */
export function checkTargetDatabase(
  { target, action }: Pick<PlannedDatabase, "target" | "action">,
  { role, facts: { privileges } }: {
    readonly role: ServerFacts["role"];
    readonly facts: Pick<TargetDatabaseFacts, "privileges">;
  },
): Check {
  const subject = { id: "target-privileges", side: "target", database: target } as const;
  const name = quoteIdentifier(role.name);
  const database = quoteIdentifier(target);
  if (privileges.database !== target) {
    return fail(subject, {
      finding:
        `requested "${target}", connected to "${privileges.database}": a pooler maps database names`,
      fix: "connect directly to the server",
    });
  }
  if (action === "drop-and-create") {
    return role.superuser || privileges.owned
      ? pass(subject, `${role.name} may drop it`)
      : fail(subject, {
        finding: `${role.name} does not own it and may not drop it`,
        fix: `ALTER DATABASE ${database} OWNER TO ${name};`,
      });
  }
  const missing = [
    ...(privileges.createSchemas ? [] : [`GRANT CREATE ON DATABASE ${database} TO ${name};`]),
    ...(privileges.createInPublic === false ? [`GRANT CREATE ON SCHEMA public TO ${name};`] : []),
  ];
  return missing.length === 0
    ? pass(subject, `${role.name} may create objects in it`)
    : fail(subject, {
      finding: `${role.name} may not create ${
        privileges.createSchemas ? "objects in schema public" : "schemas or extensions"
      } in it`,
      fix: missing.join(" "),
    });
}

/** Can all rows be read? */
export function checkReadable(
  database: string,
  { facts, role, majorVersion }: {
    readonly facts: Pick<SourceDatabaseFacts, "access" | "sequences" | "largeObjects">;
    readonly role: ServerFacts["role"];
    readonly majorVersion: number;
  },
): readonly Check[] {
  const unreadable = [
    ...facts.access.filter(({ selectable, schemaUsable }) => !selectable || !schemaUsable),
    ...facts.sequences.filter(({ readable }) => !readable),
  ].map(displayName);
  const subject = { id: "source-readable", side: "source", database } as const;
  const checks = [
    unreadable.length === 0
      ? pass(subject, `all ${plural(facts.access.length, "table")} can be read`)
      : fail(subject, {
        finding: `${role.name} may not read ${listNames(unreadable)}`,
        fix: readAllRemedy(role.name, majorVersion),
      }),
    checkRowSecurity(database, { facts, role }),
  ];
  const { unreadable: objects, count } = facts.largeObjects;
  if (objects > 0) {
    checks.push(
      fail({ id: "large-objects-readable", side: "source", database }, {
        finding: `${role.name} may not read ${objects} of ${plural(count, "large object")}`,
        fix: `GRANT SELECT ON LARGE OBJECT … TO ${
          quoteIdentifier(role.name)
        }; or connect as their owner`,
      }),
    );
  }
  return checks;
}

function checkRowSecurity(
  database: string,
  { facts, role }: {
    readonly facts: Pick<SourceDatabaseFacts, "access">;
    readonly role: ServerFacts["role"];
  },
): Check {
  const hidden = facts.access.filter(({ rowsHidden }) => rowsHidden).map(displayName);
  const subject = { id: "row-security", side: "source", database } as const;
  return hidden.length === 0 ? pass(subject, "no policy hides rows") : fail(subject, {
    finding: `row security hides rows of ${listNames(hidden)} from ${role.name}`,
    fix: `ALTER ROLE ${
      quoteIdentifier(role.name)
    } BYPASSRLS; as a superuser, or connect as the tables' owner (and not under FORCE ROW LEVEL SECURITY)`,
  });
}

/** What happens to the roles? */
export function checkRoles(
  source: Pick<ServerFacts, "role" | "roles">,
  target: Pick<ServerFacts, "role" | "provider">,
): readonly Check[] {
  const logins = source.roles.filter(({ canLogin }) => canLogin);
  const passwords = { id: "passwords", side: "source" } as const;
  const checks: Check[] = [
    source.role.readsPasswords
      ? pass(passwords, "password hashes of roles can be read")
      : warn(passwords, {
        finding: `${source.role.name} may not read password hashes: ${
          plural(logins.length, "role")
        } will have no password on the target`,
        fix:
          "ALTER ROLE … PASSWORD '…'; on the target afterwards, or connect to the source as a superuser",
      }),
  ];
  if (target.role.superuser) {
    checks.push(pass({ id: "role-attributes", side: "target" }, "roles keep all their attributes"));
    return checks;
  }
  const special = source.roles.filter((role) =>
    role.superuser || role.replication || role.bypassRowSecurity
  );
  const subject = { id: "role-attributes", side: "target" } as const;
  checks.push(
    special.length === 0
      ? pass(subject, "no role has attributes that only a superuser can grant")
      : warn(subject, {
        finding:
          `${target.role.name} is not a superuser there; SUPERUSER, REPLICATION and BYPASSRLS of ${
            listNames(special.map(({ name }) => name))
          } may have to be omitted`,
        fix: target.provider === undefined
          ? "connect to the target as a superuser if they are needed"
          : `grant ${target.provider.name}'s own admin role instead, where it is needed`,
      }),
  );
  return checks;
}
