import type { ProviderProfile } from "./profile.ts";

/** Amazon Aurora: see `docs/providers`. */
export const auroraProfile: ProviderProfile = {
  id: "aurora",
  name: "Amazon Aurora",
  signs: {
    setting: /^(?:apg_|aurora_)/,
    functions: ["aurora_version"],
    host: /\.cluster-(?:ro-|custom-)?[a-z0-9]+\.[a-z0-9-]+\.rds\.amazonaws\.com/,
  },
  databases: ["rdsadmin"],
  ownerRoles: ["rdsadmin", "rds_superuser"],
  roleKinds: [{ pattern: /^rdswriteforwarduser$/, purpose: "forwarding writes" }],
  grantingRoles: ["rds_superuser", "rds_replication", "rds_password"],
  diskGrows: true,
  logicalDecoding:
    "set rds.logical_replication = 1 in the cluster parameter group, then reboot the writer",
  replicationGrant: (role) => `GRANT rds_replication TO ${role};`,
  changeSetting: ({ name, value }) => `set ${name} = ${value} in the parameter group, then reboot`,
  directRoute: "connect directly to the writer's endpoint, without RDS Proxy",
  asSource:
    "use the writer's endpoint: readers cannot create slots; rds_superuser may not read pg_authid, so passwords are not copied",
  asTarget:
    "use the writer's endpoint; rds_superuser may create subscriptions, but no SUPERUSER or BYPASSRLS roles and no tablespaces",
  cutover: "keep the writer from failing over during the cutover: its sessions would end",
};
