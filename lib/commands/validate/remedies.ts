import type { ProviderId } from "../../catalog/internal.ts";
import { quoteIdentifier } from "../../core/internal.ts";

/** How to enable logical decoding. */
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
      return "enable Logical Replication in the settings of the Neon project";
    case "digitalocean":
    case "aiven":
      return "ask the provider's support to set wal_level to logical";
    case "heroku":
      return "Heroku does not offer logical replication; copy without sync, while writes are stopped";
    default:
      return "ALTER SYSTEM SET wal_level = 'logical'; then restart the server";
  }
}

/** How to allow a role to create replication slots. */
export function replicationGrant(provider: ProviderId | undefined, role: string): string {
  const name = quoteIdentifier(role);
  switch (provider) {
    case "rds":
    case "aurora":
      return `GRANT rds_replication TO ${name};`;
    case "neon":
      return `use a role created in the Neon console, which has REPLICATION`;
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
      return `set ${name} = ${value} in the provider's server settings`;
  }
}

/** How to connect to a server without the pooler. */
export function directRemedy(provider: ProviderId | undefined): string {
  switch (provider) {
    case "neon":
      return 'connect directly: the host name without "-pooler"';
    case "supabase":
      return "connect directly: host db.PROJECT.supabase.co, port 5432";
    case "azure":
      return "connect directly: port 5432 instead of 6432";
    default:
      return "connect directly to the server, without the pooler";
  }
}

/** How to allow a role to read everything. */
export function readAllRemedy(role: string, majorVersion: number): string {
  const name = quoteIdentifier(role);
  return majorVersion >= 14
    ? `GRANT pg_read_all_data TO ${name};`
    : `GRANT USAGE ON SCHEMA … TO ${name}; GRANT SELECT ON ALL TABLES IN SCHEMA … TO ${name}; the same for SEQUENCES`;
}
