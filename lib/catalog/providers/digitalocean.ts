import { type ProviderProfile, usualAnswers } from "./profile.ts";

/** DigitalOcean: see `docs/providers`. */
export const digitalOceanProfile: ProviderProfile = {
  ...usualAnswers,
  id: "digitalocean",
  name: "DigitalOcean",
  signs: { roles: ["doadmin"], databases: ["_dodb"], host: /\.db\.ondigitalocean\.com$/ },
  databases: ["_dodb", "_aiven"],
  ownerRoles: ["_dodb", "doadmin_group"],
  roleKinds: [{ pattern: /^(?:_?doadmin|_dodb)$/, purpose: "administration" }],
  grantingRoles: [],
  diskGrows: false,
  logicalDecoding: "ask the provider's support to set wal_level to logical",
  asSource: "passwords are not copied, because pg_authid is not readable",
  asTarget: "doadmin is not a superuser",
};
