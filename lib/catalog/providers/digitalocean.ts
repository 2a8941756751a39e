import type { ProviderProfile } from "./profile.ts";

/** DigitalOcean: see `docs/providers`. */
export const digitalOceanProfile: ProviderProfile = {
  id: "digitalocean",
  name: "DigitalOcean",
  signs: { roles: ["doadmin"], databases: ["_dodb"], host: /\.db\.ondigitalocean\.com$/ },
  databases: ["_dodb", "_aiven"],
  ownerRoles: ["_dodb", "doadmin_group"],
  roleKinds: [{ pattern: /^(?:_?doadmin|_dodb)$/, purpose: "administration" }],
  grantingRoles: [],
  diskGrows: false,
  logicalDecoding: "ask the provider's support to set wal_level to logical",
  replicationGrant: (role) => `ALTER ROLE ${role} REPLICATION; as a superuser`,
  changeSetting: ({ name, value }) => `set ${name} = ${value} in the provider's server settings`,
  directRoute: "connect directly to the server, without the pooler",
  asSource: "passwords are not copied, because pg_authid is not readable",
  asTarget: "doadmin is not a superuser",
  cutover: "nothing particular is known",
};
