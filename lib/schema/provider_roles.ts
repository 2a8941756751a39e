/**
 * Roles that a hosting provider keeps for itself: they mean nothing on another server.
 *
 * @module
 */

/** One kind of role of a provider. */
export interface ProviderRole {
  /** Matches the role's name. */
  readonly pattern: RegExp;
  /** Who keeps it. */
  readonly provider: string;
  /** What it is there for. */
  readonly purpose: string;
}

/** The roles known, by provider. */
export const providerRoles: readonly ProviderRole[] = [
  { pattern: /^rdsadmin$/, provider: "Amazon RDS", purpose: "the provider's superuser" },
  {
    pattern: /^rds_\w+$/,
    provider: "Amazon RDS",
    purpose: "groups that stand for superuser, replication, IAM login",
  },
  { pattern: /^rdsrepladmin$/, provider: "Amazon RDS", purpose: "physical replication" },
  { pattern: /^rdstopmgr$/, provider: "Amazon RDS", purpose: "managing clusters of several zones" },
  { pattern: /^rdswriteforwarduser$/, provider: "Amazon Aurora", purpose: "forwarding writes" },
  {
    pattern: /^cloudsql\w+$/,
    provider: "Google Cloud SQL",
    purpose: "administration, agents, replication, IAM login",
  },
  {
    pattern: /^alloydb\w+$/,
    provider: "Google AlloyDB",
    purpose: "administration, agents, IAM login",
  },
  {
    pattern: /^azure(?:su|_\w+)$/,
    provider: "Azure",
    purpose: "administration and the group of administrators",
  },
  {
    pattern: /^neon_\w+$/,
    provider: "Neon",
    purpose: "the group that stands for superuser, service accounts",
  },
  { pattern: /^cloud_admin$/, provider: "Neon", purpose: "the provider's superuser" },
  { pattern: /^supabase_\w+$/, provider: "Supabase", purpose: "administration and services" },
  {
    pattern: /^(?:pgbouncer|dashboard_user|pgsodium_\w+|pgtle_admin)$/,
    provider: "Supabase",
    purpose: "the pooler, the console, key management, trusted extensions",
  },
  { pattern: /^(?:_?doadmin|_dodb)$/, provider: "DigitalOcean", purpose: "administration" },
  {
    pattern: /^_?crunchy\w*$/,
    provider: "Crunchy Bridge",
    purpose: "administration and replication",
  },
  { pattern: /^(?:aiven_\w+|avnadmin|_aiven)$/, provider: "Aiven", purpose: "administration" },
  { pattern: /^tsdb(?:admin|explorer|owner)$/, provider: "Timescale", purpose: "administration" },
];

/** The provider's entry for a role, undefined for a role of the user's own. */
export function providerRole(name: string): ProviderRole | undefined {
  return providerRoles.find(({ pattern }) => pattern.test(name));
}
