import { type ProviderProfile, usualAnswers } from "./profile.ts";

/** Heroku Postgres: see `docs/providers`. */
export const herokuProfile: ProviderProfile = {
  ...usualAnswers,
  id: "heroku",
  name: "Heroku Postgres",
  signs: { setting: /^heroku\./, roles: ["heroku_admin"] },
  databases: [],
  ownerRoles: ["heroku_admin"],
  roleKinds: [{ pattern: /^heroku_\w+$/, purpose: "administration" }],
  grantingRoles: [],
  diskGrows: false,
  logicalDecoding:
    "Heroku does not offer logical replication; copy without sync, while writes are stopped",
  asSource:
    "no logical replication: stop writes (maintenance mode), then copy with init; credentials change when Heroku rotates them",
  asTarget:
    "the credential owns one database and cannot create others or roles; extensions may be in schema heroku_ext",
  cutover:
    "no way back by replication: the source stays as it was, and writes after the copy are lost if you return to it",
};
