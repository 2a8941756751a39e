import { profileOf } from "../../catalog/internal.ts";
import type { Check } from "../shared/validation_report.ts";
import { listNames, pass, warn } from "./check.ts";
import type { ServerFacts } from "./facts.ts";

/**
 * Which providers are these, and what does that mean for the migration? Three lines; none if
 * neither is recognized.
 */
export function checkProviders(
  source: Pick<ServerFacts, "provider">,
  target: Pick<ServerFacts, "provider">,
): readonly Check[] {
  if (source.provider === undefined && target.provider === undefined) return [];
  const from = profileOf(source.provider?.id);
  const to = profileOf(target.provider?.id);
  return [
    pass({ id: "provider", side: "source" }, `${from.name}: ${from.asSource}`),
    pass({ id: "provider", side: "target" }, `${to.name}: ${to.asTarget}`),
    pass({ id: "provider", side: "both" }, `cutover: ${from.cutover}`),
  ];
}

/** Are there schemas of the provider's services, which init would copy as ordinary ones? */
export function checkProviderSchemas(
  database: string,
  { schemas, source }: {
    /** Schemas owned by the provider's roles. */
    readonly schemas: readonly string[];
    readonly source: Pick<ServerFacts, "provider">;
  },
): readonly Check[] {
  if (source.provider === undefined || schemas.length === 0) return [];
  return [
    warn({ id: "provider-schemas", side: "source", database }, {
      finding: `${listNames(schemas)} ${
        schemas.length === 1 ? "belongs" : "belong"
      } to services of ${source.provider.name}; init copies what the role can read there as ordinary schemas`,
      fix: "exclude the tables that nothing on the target uses, for example --exclude-tables " +
        `'${schemas[0]}.*'`,
    }),
  ];
}
