import type { ProviderProfile } from "./profile.ts";

/** Crunchy Bridge: see `docs/providers`. */
export const crunchyProfile: ProviderProfile = {
  id: "crunchy",
  name: "Crunchy Bridge",
  signs: { roles: ["crunchy_superuser"], host: /\.db\.postgresbridge\.com$/ },
  databases: [],
  ownerRoles: ["crunchy_superuser"],
  roleKinds: [
    {
      pattern: /^_?crunchy\w*$/,
      purpose: "administration and replication",
    },
  ],
  grantingRoles: [],
  diskGrows: false,
  logicalDecoding: "ALTER SYSTEM SET wal_level = 'logical'; then restart the server",
  replicationGrant: (role) => `ALTER ROLE ${role} REPLICATION; as a superuser`,
  changeSetting: ({ name, value }) => `set ${name} = ${value} in the provider's server settings`,
  directRoute: "connect directly to the server, without the pooler",
  asSource: "role postgres is a superuser; application roles are not",
  asTarget: "connect as postgres, which is a superuser",
  cutover: "nothing particular is known",
};
