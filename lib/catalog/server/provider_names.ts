/**
 * Databases and roles that providers reserve for themselves.
 *
 * @module
 */

/** Databases reserved for providers. */
const providerDatabases: ReadonlySet<string> = new Set([
  "rdsadmin", // Amazon RDS and Aurora
  "cloudsqladmin", // Google Cloud SQL
  "alloydbadmin", // Google AlloyDB
  "alloydbmetadata",
  "azure_maintenance", // Azure Database for PostgreSQL
  "azure_sys",
  "_aiven", // Aiven and DigitalOcean
  "_dodb", // DigitalOcean
  "_timescaledb_admin", // Timescale
  "ibmclouddb", // IBM Cloud
]);

/** Roles reserved for providers. Objects that they own in a new database are not user objects. */
const providerRoleNames: readonly string[] = [
  "rdsadmin",
  "rds_superuser",
  "cloudsqladmin",
  "cloudsqlagent",
  "alloydbadmin",
  "alloydbagent",
  "azuresu",
  "azure_superuser",
  "cloud_admin", // Neon
  "supabase_admin",
  "supabase_auth_admin",
  "supabase_storage_admin",
  "supabase_functions_admin",
  "supabase_replication_admin",
  "supabase_read_only_user",
  "supabase_realtime_admin",
  "supabase_etl_admin",
  "pgbouncer", // Supabase
  "pgsodium_keyholder",
  "pgsodium_keyiduser",
  "pgsodium_keymaker",
  "dashboard_user", // Supabase
  "_dodb", // DigitalOcean
  "doadmin_group",
  "crunchy_superuser",
];

/** Whether a database belongs to a provider. */
export function isProviderDatabase(name: string): boolean {
  return providerDatabases.has(name);
}

/** Names of the roles that belong to providers. */
export function listProviderRoles(): readonly string[] {
  return providerRoleNames;
}
