/**
 * Settings and activity of a server that matter for copying and replication.
 *
 * @module
 */
import { type Session, textArray } from "../../postgres/internal.ts";

/** A setting that is read. */
export type SettingName =
  | "idle_replication_slot_timeout"
  | "max_active_replication_origins"
  | "max_connections"
  | "max_logical_replication_workers"
  | "max_replication_slots"
  | "max_slot_wal_keep_size"
  | "max_wal_senders"
  | "max_worker_processes"
  | "output_plugin_libraries"
  | "reserved_connections"
  | "shared_preload_libraries"
  | "superuser_reserved_connections"
  | "wal_level";

const settingNames: readonly SettingName[] = [
  "idle_replication_slot_timeout", // 18+, seconds
  "max_active_replication_origins", // 18+
  "max_connections",
  "max_logical_replication_workers",
  "max_replication_slots",
  "max_slot_wal_keep_size", // 13+, MB
  "max_wal_senders",
  "max_worker_processes",
  "output_plugin_libraries", // since the August 2026 minor releases
  "reserved_connections", // 16+
  "shared_preload_libraries", // hidden from ordinary roles
  "superuser_reserved_connections",
  "wal_level",
];

/** The setting that limits how many subscriptions a server can have. */
export function originLimit(major: number): SettingName {
  return major >= 18 ? "max_active_replication_origins" : "max_replication_slots";
}

/** A long-running or prepared transaction. */
export type OpenTransaction = {
  /** Undefined for a prepared one. */
  readonly pid: number | undefined;
  /** The identifier of a prepared transaction. */
  readonly gid: string | undefined;
  readonly database: string;
  readonly role: string;
  readonly ageSeconds: number;
};

/** A server's settings and activity. */
export type ServerActivity = {
  /** Values as in `pg_settings.setting`; a setting is missing if version or privileges hide it. */
  readonly settings: Readonly<Partial<Record<SettingName, string>>>;
  readonly inRecovery: boolean;
  readonly usedConnections: number;
  readonly usedSlots: number;
  readonly usedSenders: number;
  /** Only members of `pg_read_all_stats` see those of other roles. */
  readonly longTransactions: readonly OpenTransaction[];
  readonly preparedTransactions: readonly OpenTransaction[];
  /** Whether the role sees the activity of other roles. */
  readonly seesAll: boolean;
};

const statement = `
  SELECT (SELECT pg_catalog.json_object_agg(name, setting) FROM pg_catalog.pg_settings
           WHERE name = ANY ($1::pg_catalog.text[])) AS settings,
         pg_catalog.pg_is_in_recovery() AS in_recovery,
         (SELECT pg_catalog.sum(numbackends)::int FROM pg_catalog.pg_stat_database) AS used_connections,
         (SELECT pg_catalog.count(*)::int FROM pg_catalog.pg_replication_slots) AS used_slots,
         (SELECT pg_catalog.count(*)::int FROM pg_catalog.pg_stat_replication) AS used_senders,
         pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all,
         (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
                   'pid', pid, 'database', datname, 'role', usename,
                   'ageSeconds', extract(epoch FROM pg_catalog.now() - xact_start)::pg_catalog.float8)
                   ORDER BY xact_start), '[]')
            FROM pg_catalog.pg_stat_activity
           WHERE backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid()
             AND pg_catalog.now() - xact_start > pg_catalog.make_interval(secs => $2::pg_catalog.float8)) AS long_transactions,
         (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
                   'gid', gid, 'database', database, 'role', owner,
                   'ageSeconds', extract(epoch FROM pg_catalog.now() - prepared)::pg_catalog.float8)
                   ORDER BY prepared), '[]')
            FROM pg_catalog.pg_prepared_xacts) AS prepared_transactions`;

type ActivityRow = {
  readonly settings: Partial<Record<SettingName, string>>;
  readonly in_recovery: boolean;
  readonly used_connections: number;
  readonly used_slots: number;
  readonly used_senders: number;
  readonly sees_all: boolean;
  readonly long_transactions: readonly OpenTransaction[];
  readonly prepared_transactions: readonly OpenTransaction[];
};

/**
 * Reads settings and activity. Transactions older than `longAfterSeconds` count as long-running.
 */
export async function readActivity(
  session: Session,
  { longAfterSeconds }: { readonly longAfterSeconds: number },
): Promise<ServerActivity> {
  const row = await session.queryOne<ActivityRow>(statement, [
    textArray(settingNames),
    longAfterSeconds,
  ]);
  return {
    settings: row.settings,
    inRecovery: row.in_recovery,
    usedConnections: row.used_connections,
    usedSlots: row.used_slots,
    usedSenders: row.used_senders,
    seesAll: row.sees_all,
    longTransactions: row.long_transactions,
    preparedTransactions: row.prepared_transactions,
  };
}
