import type { ProviderProfile } from "./profile.ts";

/** Azure Database for PostgreSQL: see `docs/providers`. */
export const azureProfile: ProviderProfile = {
  id: "azure",
  name: "Azure Database for PostgreSQL",
  signs: {
    setting: /^azure\./,
    roles: ["azure_pg_admin"],
    databases: ["azure_maintenance", "azure_sys"],
    host: /\.postgres\.(?:database|cosmos)\.(?:azure\.com|usgovcloudapi\.net|chinacloudapi\.cn)$/,
  },
  databases: ["azure_maintenance", "azure_sys"],
  ownerRoles: ["azuresu", "azure_superuser"],
  roleKinds: [
    {
      pattern: /^azure(?:su|_\w+)$/,
      purpose: "administration and the administrators' group",
    },
  ],
  grantingRoles: ["azure_pg_admin"],
  diskGrows: false,
  logicalDecoding: "set the server parameter wal_level to LOGICAL, then restart the server",
  replicationGrant: (role) => `ALTER ROLE ${role} REPLICATION; as the server's admin user`,
  changeSetting: ({ name, value }) =>
    `set the server parameter ${name} to ${value}, then restart the server`,
  directRoute: "connect directly: port 5432 instead of 6432",
  asSource:
    "passwords are not copied, because pg_authid is not readable; TLS is required by default",
  asTarget:
    "extensions must be listed in the server parameter azure.extensions before init can create them; TLS is required by default",
  cutover:
    "with high availability, a failover during the cutover ends its sessions; let the firewalls admit both servers first",
};
