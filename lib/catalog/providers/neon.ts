import { type ProviderProfile, usualAnswers } from "./profile.ts";

/** Neon: see `docs/providers`. */
export const neonProfile: ProviderProfile = {
  ...usualAnswers,
  id: "neon",
  name: "Neon",
  signs: { setting: /^neon\./, roles: ["neon_superuser"], host: /\.neon\.(?:tech|build)$/ },
  databases: [],
  ownerRoles: ["cloud_admin"],
  roleKinds: [
    {
      pattern: /^neon_\w+$/,
      purpose: "the group that replaces superuser, and service accounts",
    },
    { pattern: /^cloud_admin$/, purpose: "the provider's superuser" },
  ],
  grantingRoles: ["neon_superuser"],
  diskGrows: true,
  logicalDecoding: "enable Logical Replication in the settings of the Neon project",
  replicationGrant: () => "use a role created in the Neon console, which has REPLICATION",
  directRoute: 'connect directly: the host name without "-pooler"',
  asSource:
    "Neon removes replication slots that are inactive for about 40 hours; an active stream keeps the compute from scaling to zero",
  asTarget:
    "roles created in the console are members of neon_superuser; a compute that scales to zero interrupts the stream, which reconnects",
  cutover:
    "restoring a branch removes its replication slots: do not restore one until the cutover is finished",
};
