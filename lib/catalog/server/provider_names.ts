/**
 * Databases and roles that providers reserve for themselves.
 *
 * @module
 */
import { providerProfiles } from "../providers/profiles.ts";
import { selfHostedProfile } from "../providers/self_hosted.ts";

const profiles = [...providerProfiles, selfHostedProfile];

/** Databases reserved for providers. */
const providerDatabases: ReadonlySet<string> = new Set(
  profiles.flatMap(({ databases }) => databases),
);

/** Roles reserved for providers. Objects that they own in a new database are not user objects. */
const providerRoleNames: readonly string[] = [
  ...new Set(profiles.flatMap(({ ownerRoles }) => ownerRoles)),
];

/** Roles of providers that replace superuser or role attributes. */
export const providerGrantingRoles: readonly string[] = [
  ...new Set(profiles.flatMap(({ grantingRoles }) => grantingRoles)),
];

/** Whether a database belongs to a provider. */
export function isProviderDatabase(name: string): boolean {
  return providerDatabases.has(name);
}

/** Names of the roles that belong to providers. */
export function listProviderRoles(): readonly string[] {
  return providerRoleNames;
}
