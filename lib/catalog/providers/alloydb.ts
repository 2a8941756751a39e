import type { ProviderProfile } from "./profile.ts";

/** Google AlloyDB: see `docs/providers`. */
export const alloyDbProfile: ProviderProfile = {
  id: "alloydb",
  name: "Google AlloyDB",
  signs: { setting: /^alloydb\./, roles: ["alloydbsuperuser"], databases: ["alloydbadmin"] },
  databases: ["alloydbadmin", "alloydbmetadata"],
  ownerRoles: ["alloydbadmin", "alloydbagent"],
  roleKinds: [{ pattern: /^alloydb\w+$/, purpose: "administration, agents, IAM login" }],
  grantingRoles: ["alloydbsuperuser"],
  diskGrows: true,
  logicalDecoding: "set the flag alloydb.logical_decoding = on (the instance restarts)",
  replicationGrant: (role) => `ALTER ROLE ${role} REPLICATION; as the server's admin user`,
  changeSetting: ({ name, value }) => `set the flag ${name} = ${value} (the instance restarts)`,
  directRoute: "connect directly to the primary instance, without the pooler",
  asSource: "use the primary instance; passwords are not copied unless pg_authid is readable",
  asTarget:
    "alloydbsuperuser may create subscriptions; it cannot create SUPERUSER roles or tablespaces",
  cutover: "use the primary instance's address, not a read pool's",
};
