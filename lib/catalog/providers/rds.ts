import type { ProviderProfile } from "./profile.ts";

/** Amazon RDS: see `docs/providers`. */
export const rdsProfile: ProviderProfile = {
  id: "rds",
  name: "Amazon RDS",
  signs: {
    setting: /^rds\./,
    roles: ["rds_superuser"],
    databases: ["rdsadmin"],
    host: /\.rds\.amazonaws\.com/,
  },
  databases: ["rdsadmin"],
  ownerRoles: ["rdsadmin", "rds_superuser"],
  roleKinds: [
    { pattern: /^rdsadmin$/, purpose: "the provider's superuser" },
    {
      pattern: /^rds_\w+$/,
      purpose: "groups that replace superuser, replication and IAM login",
    },
    { pattern: /^rdsrepladmin$/, purpose: "physical replication" },
    { pattern: /^rdstopmgr$/, purpose: "management of multi-AZ clusters" },
  ],
  grantingRoles: ["rds_superuser", "rds_replication", "rds_password"],
  diskGrows: false,
  logicalDecoding:
    "set rds.logical_replication = 1 in the instance's parameter group, then reboot it",
  replicationGrant: (role) => `GRANT rds_replication TO ${role};`,
  changeSetting: ({ name, value }) => `set ${name} = ${value} in the parameter group, then reboot`,
  directRoute: "connect directly to the instance's endpoint, without RDS Proxy",
  asSource:
    "rds_superuser may not read pg_authid, so passwords are not copied; rds_replication replaces the REPLICATION attribute",
  asTarget:
    "rds_superuser may create subscriptions, but no SUPERUSER, REPLICATION or BYPASSRLS roles and no tablespaces",
  cutover:
    "with Multi-AZ, a failover during the cutover ends its sessions; a logical slot survives only as a failover slot (17+)",
};
