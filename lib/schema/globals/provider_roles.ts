/**
 * Roles that hosting providers create for themselves, which have no meaning on other servers.
 *
 * @module
 */
import { providerProfiles } from "../../catalog/internal.ts";

/** A role of a provider. */
export interface ProviderRole {
  /** The provider. */
  readonly provider: string;
  /** Its purpose. */
  readonly purpose: string;
}

/** The provider of a role, and its purpose; undefined for any other role. */
export function providerRole(name: string): ProviderRole | undefined {
  for (const { name: provider, roleKinds } of providerProfiles) {
    const kind = roleKinds.find(({ pattern }) => pattern.test(name));
    if (kind !== undefined) return { provider, purpose: kind.purpose };
  }
  return undefined;
}
