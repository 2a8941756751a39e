import { type ProviderProfile, usualAnswers } from "./profile.ts";

/** Timescale Cloud: see `docs/providers`. */
export const timescaleProfile: ProviderProfile = {
  ...usualAnswers,
  id: "timescale",
  name: "Timescale Cloud",
  signs: { roles: ["tsdbadmin"], host: /\.(?:tsdb\.cloud\.timescale|timescaledb)\.(?:com|io)$/ },
  databases: ["_timescaledb_admin"],
  ownerRoles: [],
  roleKinds: [{ pattern: /^tsdb(?:admin|explorer|owner)$/, purpose: "administration" }],
  grantingRoles: ["tsdbadmin"],
  diskGrows: true,
  logicalDecoding: "ALTER SYSTEM SET wal_level = 'logical'; then restart the server",
  asSource:
    "tsdbadmin is not a superuser, so passwords are not copied; hypertables are not copied as such",
  asTarget: "tsdbadmin is not a superuser",
};
