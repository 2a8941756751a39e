import { type ProviderProfile, usualAnswers } from "./profile.ts";

/** A server without a known provider: the administrator decides. */
export const selfHostedProfile: ProviderProfile = {
  ...usualAnswers,
  id: undefined,
  name: "self-hosted, or an unknown provider",
  signs: {},
  databases: ["ibmclouddb"], // IBM Cloud, which is not recognized
  ownerRoles: [],
  roleKinds: [],
  grantingRoles: [],
  diskGrows: false,
  logicalDecoding: "ALTER SYSTEM SET wal_level = 'logical'; then restart the server",
  changeSetting: ({ name, value }) =>
    `ALTER SYSTEM SET ${name} = ${value}; then restart the server`,
  asSource: "nothing particular is known",
  asTarget: "nothing particular is known",
};
