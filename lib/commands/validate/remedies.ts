import { profileOf, type ProviderId } from "../../catalog/internal.ts";
import { quoteIdentifier } from "../../core/internal.ts";

/** How to enable logical decoding. */
export function walLevelRemedy(provider: ProviderId | undefined): string {
  return profileOf(provider).logicalDecoding;
}

/** How to allow a role to create replication slots. */
export function replicationGrant(provider: ProviderId | undefined, role: string): string {
  return profileOf(provider).replicationGrant(quoteIdentifier(role));
}

/** How to change a setting that needs a restart. */
export function settingRemedy(
  provider: ProviderId | undefined,
  change: { readonly name: string; readonly value: number },
): string {
  return profileOf(provider).changeSetting(change);
}

/** How to connect to a server without the pooler. */
export function directRemedy(provider: ProviderId | undefined): string {
  return profileOf(provider).directRoute;
}

/** How to allow a role to read everything. */
export function readAllRemedy(role: string, majorVersion: number): string {
  const name = quoteIdentifier(role);
  return majorVersion >= 14
    ? `GRANT pg_read_all_data TO ${name};`
    : `GRANT USAGE ON SCHEMA … TO ${name}; GRANT SELECT ON ALL TABLES IN SCHEMA … TO ${name}; the same for SEQUENCES`;
}
