import { type ProviderProfile, usualAnswers } from "./profile.ts";

/** Supabase: see `docs/providers`. */
export const supabaseProfile: ProviderProfile = {
  ...usualAnswers,
  id: "supabase",
  name: "Supabase",
  signs: { roles: ["supabase_admin"], host: /\.supabase\.(?:com|co|in|net)$/ },
  databases: [],
  ownerRoles: [
    "supabase_admin",
    "supabase_auth_admin",
    "supabase_storage_admin",
    "supabase_functions_admin",
    "supabase_replication_admin",
    "supabase_read_only_user",
    "supabase_realtime_admin",
    "supabase_etl_admin",
    "pgbouncer",
    "pgsodium_keyholder",
    "pgsodium_keyiduser",
    "pgsodium_keymaker",
    "dashboard_user",
  ],
  roleKinds: [
    { pattern: /^supabase_\w+$/, purpose: "administration and services" },
    {
      pattern: /^(?:pgbouncer|dashboard_user|pgsodium_\w+|pgtle_admin)$/,
      purpose: "pooler, dashboard, key management, trusted extensions",
    },
  ],
  grantingRoles: [],
  diskGrows: false,
  logicalDecoding: "Supabase sets wal_level to logical; if it is not, ask its support",
  replicationGrant: (role) => `ALTER ROLE ${role} REPLICATION; as role postgres`,
  directRoute: "connect directly: host db.PROJECT.supabase.co, port 5432",
  asSource:
    "role postgres is not a superuser; schemas such as auth and storage belong to Supabase's services; the direct host may need IPv6",
  asTarget:
    "schemas such as auth and storage exist and belong to Supabase's services; role postgres is not a superuser",
  cutover:
    "stop the services that write (Auth, Storage, API) or point them elsewhere: they connect with roles of their own",
};
