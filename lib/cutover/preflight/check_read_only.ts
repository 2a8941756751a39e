/**
 * Read-only defaults that would leave the side which is opened closed. Pure.
 *
 * @module
 */
import { quoteIdentifier } from "../../core/internal.ts";
import type { PreflightCheck } from "./preflight_check.ts";

/** Defaults of the server, of the database and of roles. */
export function checkReadOnlyDefaults(check: PreflightCheck): void {
  checkServerDefault(check);
  checkDatabaseDefault(check);
  checkRoleDefaults(check);
}

function checkServerDefault({ facts: { from, to }, findings }: PreflightCheck): void {
  if (to.readOnlyDefaults.server !== true || from.readOnlyDefaults.server === true) return;
  findings.problemOfSwitch({
    side: to.side,
    message:
      `new sessions of the server are read-only by default, also once this side is open, unlike on the ${from.side}`,
    remedy:
      "ALTER SYSTEM RESET default_transaction_read_only; SELECT pg_catalog.pg_reload_conf(); or ALTER ROLE ALL RESET default_transaction_read_only; see pg_settings and pg_db_role_setting",
  });
}

function checkDatabaseDefault({ facts: { to, database }, findings }: PreflightCheck): void {
  if (!to.readOnlyDefaults.database || to.ownsDatabase) return;
  findings.problemOfSwitch({
    side: to.side,
    message: "the database is read-only by default, and the role may not change this default",
    remedy: `as its owner: ALTER DATABASE ${
      quoteIdentifier(database)
    } RESET default_transaction_read_only;`,
  });
}

function checkRoleDefaults({ facts: { from, to }, findings }: PreflightCheck): void {
  const roles = to.readOnlyRoles.filter((role) => !from.readOnlyRoles.includes(role));
  if (roles.length === 0) return;
  findings.warning({
    side: to.side,
    message:
      `sessions of these roles are read-only by default, also once this side is open, unlike on the ${from.side}: ${
        roles.join(", ")
      }`,
    remedy:
      "if they have to write: ALTER ROLE … RESET default_transaction_read_only; also … IN DATABASE …",
  });
}
