/**
 * Recognizes the hosting provider: advice about settings and privileges depends on it.
 *
 * @module
 */
import { type Session, textArray } from "../../postgres/internal.ts";
import type { ProviderId, ProviderProfile, ProviderSigns } from "../providers/profile.ts";
import { providerProfiles } from "../providers/profiles.ts";

/** A provider. */
export interface Provider {
  /** Identifier to branch on: `rds`, `neon`. */
  readonly id: ProviderId;
  /** Name for messages: `Amazon RDS`, `Neon`. */
  readonly name: string;
}

/** What a provider is recognized by. */
export interface ProviderFacts {
  readonly hosts: readonly string[];
  /** Names of provider settings, such as `rds.logical_replication`. */
  readonly settings: readonly string[];
  readonly roles: readonly string[];
  readonly databases: readonly string[];
  /** Names of provider functions in `pg_catalog`. */
  readonly functions: readonly string[];
}

/**
 * The provider; undefined when self-hosted or unknown. A host name is not sufficient, since a
 * CNAME, a tunnel or a proxy can have any: it only decides between several providers.
 */
export function recognizeProvider(facts: ProviderFacts): Provider | undefined {
  const found = providerProfiles.filter(({ signs }) => shows(signs, facts));
  const named = found.find(({ signs }) =>
    facts.hosts.some((name) => signs.host?.test(name.toLowerCase()))
  );
  const [profile] = named === undefined ? found : [named];
  return profile?.id === undefined ? undefined : { id: profile.id, name: profile.name };
}

function shows(
  { setting, roles, databases, functions }: ProviderSigns,
  facts: ProviderFacts,
): boolean {
  const common = (signs: readonly string[] | undefined, found: readonly string[]) =>
    signs?.some((sign) => found.includes(sign)) ?? false;
  return facts.settings.some((name) => setting?.test(name)) ||
    common(roles, facts.roles) || common(databases, facts.databases) ||
    common(functions, facts.functions);
}

const statement = `
  SELECT (SELECT coalesce(pg_catalog.json_agg(name), '[]') FROM pg_catalog.pg_settings
           WHERE name ~ '^(rds|neon|alloydb|cloudsql|azure|heroku)\\.|^(apg|aurora)_') AS settings,
         (SELECT coalesce(pg_catalog.json_agg(rolname), '[]') FROM pg_catalog.pg_roles
           WHERE rolname = ANY ($1::pg_catalog.text[])) AS roles,
         (SELECT coalesce(pg_catalog.json_agg(datname), '[]') FROM pg_catalog.pg_database
           WHERE datname = ANY ($2::pg_catalog.text[])) AS databases,
         (SELECT coalesce(pg_catalog.json_agg(DISTINCT proname), '[]') FROM pg_catalog.pg_proc
           WHERE pronamespace = 'pg_catalog'::pg_catalog.regnamespace
             AND proname = ANY ($3::pg_catalog.text[])) AS functions`;

/** Recognizes the provider of the session's server. */
export async function readProvider(session: Session): Promise<Provider | undefined> {
  const signs = (of: (signs: ProviderProfile["signs"]) => readonly string[] | undefined) =>
    textArray(providerProfiles.flatMap((profile) => of(profile.signs) ?? []));
  const found = await session.queryOne<Omit<ProviderFacts, "hosts">>(statement, [
    signs(({ roles }) => roles),
    signs(({ databases }) => databases),
    signs(({ functions }) => functions),
  ]);
  return recognizeProvider({ ...found, hosts: session.endpoint.hosts.map(({ host }) => host) });
}
