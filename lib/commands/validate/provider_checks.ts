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
  { schemas, tables, source }: {
    /** Schemas owned by the provider's roles. */
    readonly schemas: readonly string[];
    readonly tables: readonly { readonly schema: string }[];
    readonly source: Pick<ServerFacts, "provider">;
  },
): readonly Check[] {
  if (source.provider === undefined || schemas.length === 0) return [];
  const filled = schemas.filter((name) => tables.some(({ schema }) => schema === name));
  const subject = { id: "provider-schemas", side: "source", database } as const;
  const owned = schemas.length === 1
    ? `schema ${schemas[0]} belongs`
    : `schemas ${listNames(schemas)} belong`;
  const finding = `${owned} to services of ${source.provider.name}`;
  // their functions and views are harmless
  if (filled.length === 0) return [pass(subject, finding)];
  const patterns = filled.map((schema) => `${database}.${schema}.*`).join(",");
  return [
    warn(subject, {
      finding: `${finding}; their tables are copied as ordinary ones`,
      fix: `if nothing on the target uses them: --exclude-tables '${patterns}'`,
    }),
  ];
}
