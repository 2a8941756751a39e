import { type ProviderProfile, usualAnswers } from "./profile.ts";

/** Crunchy Bridge: see `docs/providers`. */
export const crunchyProfile: ProviderProfile = {
  ...usualAnswers,
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
  asSource: "role postgres is a superuser; application roles are not",
  asTarget: "connect as postgres, which is a superuser",
};
