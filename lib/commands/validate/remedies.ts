import type { ProviderId } from "../../catalog/internal.ts";
import { quoteIdentifier } from "../../core/internal.ts";

/** How to switch logical decoding on. */
export function walLevelRemedy(provider: ProviderId | undefined): string {
  switch (provider) {
    case "rds":
      return "set rds.logical_replication = 1 in the instance's parameter group, then reboot it";
    case "aurora":
      return "set rds.logical_replication = 1 in the cluster parameter group, then reboot the writer";
    case "cloud-sql":
      return "set the flag cloudsql.logical_decoding = on (the instance restarts)";
    case "alloydb":
      return "set the flag alloydb.logical_decoding = on (the instance restarts)";
    case "azure":
      return "set the server parameter wal_level to LOGICAL, then restart the server";
    case "neon":
      return "switch on Logical Replication in the settings of the Neon project";
    case "digitalocean":
    case "aiven":
      return "the provider's support sets wal_level to logical; ask them";
    case "heroku":
      return "Heroku gives no logical replication; copy without sync, with writes stopped";
    default:
      return "ALTER SYSTEM SET wal_level = 'logical'; then restart the server";
  }
}

/** How to let a role make replication slots. */
export function replicationGrant(provider: ProviderId | undefined, role: string): string {
  const name = quoteIdentifier(role);
  switch (provider) {
    case "rds":
    case "aurora":
      return `GRANT rds_replication TO ${name};`;
    case "neon":
      return `use a role made in the Neon console: those have REPLICATION`;
    case "cloud-sql":
    case "alloydb":
    case "azure":
      return `ALTER ROLE ${name} REPLICATION; as the server's admin user`;
    default:
      return `ALTER ROLE ${name} REPLICATION; as a superuser`;
  }
}

/** How to change a setting that needs a restart. */
export function settingRemedy(
  provider: ProviderId | undefined,
  { name, value }: { readonly name: string; readonly value: number },
): string {
  switch (provider) {
    case undefined:
      return `ALTER SYSTEM SET ${name} = ${value}; then restart the server`;
    case "rds":
    case "aurora":
      return `set ${name} = ${value} in the parameter group, then reboot`;
    case "azure":
      return `set the server parameter ${name} to ${value}, then restart the server`;
    case "cloud-sql":
    case "alloydb":
      return `set the flag ${name} = ${value} (the instance restarts)`;
    default:
      return `set ${name} = ${value} where the provider keeps the server's settings`;
  }
}

/** How to get at a server without the pooler. */
export function directRemedy(provider: ProviderId | undefined): string {
  switch (provider) {
    case "neon":
      return 'connect directly: the host name without "-pooler"';
    case "supabase":
      return "connect directly: host db.PROJECT.supabase.co, port 5432";
    case "azure":
      return "connect directly: port 5432 instead of 6432";
    default:
      return "connect to the server itself, past the pooler";
  }
}

/** How to become a role that sees all rows. */
export function readAllRemedy(role: string, majorVersion: number): string {
  const name = quoteIdentifier(role);
  return majorVersion >= 14
    ? `GRANT pg_read_all_data TO ${name};`
    : `GRANT USAGE ON SCHEMA … TO ${name}; GRANT SELECT ON ALL TABLES IN SCHEMA … TO ${name}; the same for SEQUENCES`;
}
