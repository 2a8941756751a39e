/**
 * Recognizes the hosting provider: advice about settings and privileges depends on it.
 *
 * @module
 */
import { type Session, textArray } from "../../postgres/internal.ts";

/** A known provider. */
export type ProviderId =
  | "aurora"
  | "rds"
  | "neon"
  | "cloud-sql"
  | "alloydb"
  | "azure"
  | "supabase"
  | "heroku"
  | "crunchy"
  | "digitalocean"
  | "aiven"
  | "timescale"
  | "render"
  | "railway";

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

interface Signs extends Provider {
  readonly host?: RegExp;
  readonly setting?: RegExp;
  readonly roles?: readonly string[];
  readonly databases?: readonly string[];
  readonly functions?: readonly string[];
}

/** In order of precedence. */
const providers: readonly Signs[] = [
  {
    id: "aurora",
    name: "Amazon Aurora",
    host: /\.cluster-(?:ro-|custom-)?[a-z0-9]+\.[a-z0-9-]+\.rds\.amazonaws\.com/,
    setting: /^(?:apg_|aurora_)/,
    functions: ["aurora_version"],
  },
  {
    id: "rds",
    name: "Amazon RDS",
    host: /\.rds\.amazonaws\.com/,
    setting: /^rds\./,
    roles: ["rds_superuser"],
    databases: ["rdsadmin"],
  },
  {
    id: "neon",
    name: "Neon",
    host: /\.neon\.(?:tech|build)$/,
    setting: /^neon\./,
    roles: ["neon_superuser"],
  },
  {
    id: "alloydb",
    name: "Google AlloyDB",
    setting: /^alloydb\./,
    roles: ["alloydbsuperuser"],
    databases: ["alloydbadmin"],
  },
  {
    id: "cloud-sql",
    name: "Google Cloud SQL",
    setting: /^cloudsql\./,
    roles: ["cloudsqlsuperuser"],
    databases: ["cloudsqladmin"],
  },
  {
    id: "azure",
    name: "Azure Database for PostgreSQL",
    host: /\.postgres\.(?:database|cosmos)\.(?:azure\.com|usgovcloudapi\.net|chinacloudapi\.cn)$/,
    setting: /^azure\./,
    roles: ["azure_pg_admin"],
    databases: ["azure_maintenance", "azure_sys"],
  },
  {
    id: "supabase",
    name: "Supabase",
    host: /\.supabase\.(?:com|co|in|net)$/,
    roles: ["supabase_admin"],
  },
  {
    id: "crunchy",
    name: "Crunchy Bridge",
    host: /\.db\.postgresbridge\.com$/,
    roles: ["crunchy_superuser"],
  },
  {
    id: "digitalocean",
    name: "DigitalOcean",
    host: /\.db\.ondigitalocean\.com$/,
    databases: ["_dodb"],
    roles: ["doadmin"],
  },
  { id: "aiven", name: "Aiven", host: /\.aivencloud\.com$/, roles: ["avnadmin"] },
  {
    id: "timescale",
    name: "Timescale Cloud",
    host: /\.(?:tsdb\.cloud\.timescale|timescaledb)\.(?:com|io)$/,
    roles: ["tsdbadmin"],
  },
  { id: "render", name: "Render", host: /-postgres\.render\.com$/ },
  { id: "railway", name: "Railway", host: /\.(?:rlwy\.net|railway\.(?:app|internal))$/ },
  { id: "heroku", name: "Heroku Postgres", setting: /^heroku\./, roles: ["heroku_admin"] },
];

/** The provider; undefined when self-hosted or unknown. */
export function recognizeProvider(facts: ProviderFacts): Provider | undefined {
  const common = (signs: readonly string[] | undefined, found: readonly string[]) =>
    signs?.some((sign) => found.includes(sign)) ?? false;
  const match = providers.find(({ host, setting, roles, databases, functions }) =>
    facts.hosts.some((name) => host?.test(name.toLowerCase())) ||
    facts.settings.some((name) => setting?.test(name)) ||
    common(roles, facts.roles) || common(databases, facts.databases) ||
    common(functions, facts.functions)
  );
  return match === undefined ? undefined : { id: match.id, name: match.name };
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
  const signs = (of: (signs: Signs) => readonly string[] | undefined) =>
    textArray(providers.flatMap((provider) => of(provider) ?? []));
  const found = await session.queryOne<Omit<ProviderFacts, "hosts">>(statement, [
    signs(({ roles }) => roles),
    signs(({ databases }) => databases),
    signs(({ functions }) => functions),
  ]);
  return recognizeProvider({ ...found, hosts: session.endpoint.hosts.map(({ host }) => host) });
}
