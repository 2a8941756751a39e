import type { PgMajor } from "./major.ts";

/** A server certificate and key, in PEM. */
export interface ServerTls {
  /** The certificate with its intermediate certificates. */
  readonly certPem: string;
  /** The private key, unencrypted. */
  readonly keyPem: string;
  /** The CA of client certificates; without it, the server requests none. */
  readonly caPem?: string;
}

/** Settings for disposable servers: fast, small, and ready for logical replication. */
const DEFAULTS: Readonly<Record<string, string>> = {
  // durability is pointless, as the data directory will be removed
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
  // a killed server would leave POSIX segments in /dev/shm; mmap files are in the data directory
  dynamic_shared_memory_type: "mmap",
  timezone: "UTC",
  log_timezone: "UTC",
  log_line_prefix: "%m [%p] %q%u@%d/%a ",
  wal_receiver_status_interval: "1s",
  wal_retrieve_retry_interval: "200ms",
};

/** Options of {@linkcode configText}. */
export interface ConfigInput {
  readonly major: PgMajor;
  readonly socketDir: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly tls?: ServerTls;
}

/**
 * The text appended to `postgresql.conf`, without the port, which is passed at each start.
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
  return ["", "# Settings of a disposable cluster.", ...lines, ""].join("\n");
}

/**
 * The default lines of `pg_hba.conf`: all local connections, with a password if the superuser has
 * one.
 */
export function defaultHba(hasPassword: boolean): readonly string[] {
  const method = hasPassword ? "scram-sha-256" : "trust";
  return ["all", "replication"].flatMap((database) => [
    `local ${database} all ${method}`,
    `host ${database} all 127.0.0.1/32 ${method}`,
    `host ${database} all ::1/128 ${method}`,
  ]);
}
