import { type ProviderProfile, usualAnswers } from "./profile.ts";

/** Aiven: see `docs/providers`. */
export const aivenProfile: ProviderProfile = {
  ...usualAnswers,
  id: "aiven",
  name: "Aiven",
  signs: { roles: ["avnadmin"], host: /\.aivencloud\.com$/ },
  databases: ["_aiven"],
  ownerRoles: [],
  roleKinds: [{ pattern: /^(?:aiven_\w+|avnadmin|_aiven)$/, purpose: "administration" }],
  grantingRoles: [],
  diskGrows: false,
  logicalDecoding: "ask the provider's support to set wal_level to logical",
  asSource: "avnadmin has REPLICATION, but is not a superuser, so passwords are not copied",
  asTarget: "avnadmin is not a superuser: before version 16 it cannot create subscriptions itself",
};
