import type { PgMajor } from "./major.ts";

/** A server's own certificate and key, in PEM. */
export interface ServerTls {
  /** The certificate, with what it needs of its chain. */
  readonly certPem: string;
  /** Its private key, without a password. */
  readonly keyPem: string;
  /** Who signs client certificates; without it the server asks for none. */
  readonly caPem?: string;
}

/** Settings for servers that are thrown away: quick, small, and ready for logical replication. */
const DEFAULTS: Readonly<Record<string, string>> = {
  // Durability is worth nothing to a data directory that is removed at the end.
  fsync: "off",
  full_page_writes: "off",
  synchronous_commit: "off",
  autovacuum: "on",
  autovacuum_naptime: "20s",
  checkpoint_timeout: "30min",
  max_wal_size: "2GB",
  shared_buffers: "64MB",
  maintenance_work_mem: "64MB",
  wal_level: "logical",
  max_wal_senders: "20",
  max_replication_slots: "20",
  max_logical_replication_workers: "20",
  max_sync_workers_per_subscription: "2",
  max_worker_processes: "32",
  max_prepared_transactions: "10",
  max_connections: "100",
  // A killed server leaves POSIX segments in /dev/shm behind; files in its data directory go with
  // it.
  dynamic_shared_memory_type: "mmap",
  timezone: "UTC",
  log_timezone: "UTC",
  log_line_prefix: "%m [%p] %q%u@%d/%a ",
  wal_receiver_status_interval: "1s",
  wal_retrieve_retry_interval: "200ms",
};

/** Where the files that the settings name are, and what listens where. */
export interface ConfigInput {
  readonly major: PgMajor;
  readonly socketDir: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly tls?: ServerTls;
}

/**
 * The text that is added to `postgresql.conf`; the port is not in it, it is chosen at each start.
 */
export function configText(input: ConfigInput): string {
  const settings: Record<string, string> = {
    ...DEFAULTS,
    listen_addresses: "127.0.0.1",
    unix_socket_directories: input.socketDir,
  };
  if (input.tls) {
    settings.ssl = "on";
    settings.ssl_cert_file = "server.crt";
    settings.ssl_key_file = "server.key";
    if (input.tls.caPem) settings.ssl_ca_file = "root.crt";
  }
  const lines = Object.entries({ ...settings, ...input.settings })
    .map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'`);
  return ["", "# Settings of a throw-away cluster.", ...lines, ""].join("\n");
}

/**
 * The lines of `pg_hba.conf` when the caller gives none: everybody from this machine, by password
 * where there is one.
 */
export function defaultHba(hasPassword: boolean): readonly string[] {
  const method = hasPassword ? "scram-sha-256" : "trust";
  return ["all", "replication"].flatMap((database) => [
    `local ${database} all ${method}`,
    `host ${database} all 127.0.0.1/32 ${method}`,
    `host ${database} all ::1/128 ${method}`,
  ]);
}
