/**
 * Roles that hosting providers create for themselves, which have no meaning on other servers.
 *
 * @module
 */

/** One kind of role of a provider. */
export interface ProviderRole {
  /** Matches the role's name. */
  readonly pattern: RegExp;
  /** The provider. */
  readonly provider: string;
  /** Its purpose. */
  readonly purpose: string;
}

/** The known roles, by provider. */
export const providerRoles: readonly ProviderRole[] = [
  { pattern: /^rdsadmin$/, provider: "Amazon RDS", purpose: "the provider's superuser" },
  {
    pattern: /^rds_\w+$/,
    provider: "Amazon RDS",
    purpose: "groups that replace superuser, replication and IAM login",
  },
  { pattern: /^rdsrepladmin$/, provider: "Amazon RDS", purpose: "physical replication" },
  { pattern: /^rdstopmgr$/, provider: "Amazon RDS", purpose: "management of multi-AZ clusters" },
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
    purpose: "administration and the administrators' group",
  },
  {
    pattern: /^neon_\w+$/,
    provider: "Neon",
    purpose: "the group that replaces superuser, and service accounts",
  },
  { pattern: /^cloud_admin$/, provider: "Neon", purpose: "the provider's superuser" },
  { pattern: /^supabase_\w+$/, provider: "Supabase", purpose: "administration and services" },
  {
    pattern: /^(?:pgbouncer|dashboard_user|pgsodium_\w+|pgtle_admin)$/,
    provider: "Supabase",
    purpose: "pooler, dashboard, key management, trusted extensions",
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

/** The entry for a provider's role; undefined for any other role. */
export function providerRole(name: string): ProviderRole | undefined {
  return providerRoles.find(({ pattern }) => pattern.test(name));
}
