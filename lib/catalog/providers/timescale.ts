import type { ProviderProfile } from "./profile.ts";

/** Timescale Cloud: see `docs/providers`. */
export const timescaleProfile: ProviderProfile = {
  id: "timescale",
  name: "Timescale Cloud",
  signs: { roles: ["tsdbadmin"], host: /\.(?:tsdb\.cloud\.timescale|timescaledb)\.(?:com|io)$/ },
  databases: ["_timescaledb_admin"],
  ownerRoles: [],
  roleKinds: [{ pattern: /^tsdb(?:admin|explorer|owner)$/, purpose: "administration" }],
  grantingRoles: ["tsdbadmin"],
  diskGrows: true,
  logicalDecoding: "ALTER SYSTEM SET wal_level = 'logical'; then restart the server",
  replicationGrant: (role) => `ALTER ROLE ${role} REPLICATION; as a superuser`,
  changeSetting: ({ name, value }) => `set ${name} = ${value} in the provider's server settings`,
  directRoute: "connect directly to the server, without the pooler",
  asSource:
    "tsdbadmin is not a superuser, so passwords are not copied; hypertables are not copied as such",
  asTarget: "tsdbadmin is not a superuser",
  cutover: "nothing particular is known",
};
