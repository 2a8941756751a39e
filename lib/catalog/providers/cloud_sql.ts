import type { ProviderProfile } from "./profile.ts";

/** Google Cloud SQL: see `docs/providers`. */
export const cloudSqlProfile: ProviderProfile = {
  id: "cloud-sql",
  name: "Google Cloud SQL",
  signs: { setting: /^cloudsql\./, roles: ["cloudsqlsuperuser"], databases: ["cloudsqladmin"] },
  databases: ["cloudsqladmin"],
  ownerRoles: ["cloudsqladmin", "cloudsqlagent"],
  roleKinds: [{
    pattern: /^cloudsql\w+$/,
    purpose: "administration, agents, replication, IAM login",
  }],
  grantingRoles: ["cloudsqlsuperuser"],
  diskGrows: false,
  logicalDecoding: "set the flag cloudsql.logical_decoding = on (the instance restarts)",
  replicationGrant: (role) => `ALTER ROLE ${role} REPLICATION; as the server's admin user`,
  changeSetting: ({ name, value }) => `set the flag ${name} = ${value} (the instance restarts)`,
  directRoute: "connect directly to the instance, without the pooler",
  asSource:
    "passwords are copied only with the flag cloudsql.pg_authid_select_role; the admin user grants REPLICATION itself",
  asTarget:
    "cloudsqlsuperuser may create subscriptions; it cannot create SUPERUSER roles, tablespaces or untrusted languages",
  cutover:
    "the replication user connects to the instance directly; authorize the target's address there first",
};
