/**
 * The two servers used for all measurements.
 *
 * @module
 */
import { type Cluster, type PgMajor, startCluster } from "../../lib/cluster/mod.ts";
import { CertificateAuthority } from "../support/certificates.ts";
import { exec, query } from "../support/sql.ts";

/** Source and target, both with TLS, and their CA. */
export interface Servers extends AsyncDisposable {
  readonly source: Cluster;
  readonly target: Cluster;
  /** PEM of the CA that signed both certificates. */
  readonly authority: string;
  /** The settings of both, for the report. */
  readonly settings: Readonly<Record<string, string>>;
}

/** Settings of a small production server, the same for every tool. */
const settings = {
  full_page_writes: "on",
  synchronous_commit: "on",
  shared_buffers: "512MB",
  max_wal_size: "8GB",
  checkpoint_timeout: "30min",
  maintenance_work_mem: "64MB",
  autovacuum_naptime: "1min",
  max_locks_per_transaction: "256",
  max_connections: "300",
  dynamic_shared_memory_type: "posix",
} as const;

/** By default both servers run version 15, the newest that Debian's pgcopydb supports. */
export async function startServers(
  { fsync, major }: { readonly fsync: boolean; readonly major: PgMajor },
): Promise<Servers> {
  const authority = await CertificateAuthority.create();
  const shared = { ...settings, fsync: fsync ? "on" : "off" };
  await using stack = new AsyncDisposableStack();
  const start = async (walLevel: string) =>
    stack.use(
      await startCluster({
        major,
        tls: await authority.server(),
        settings: { ...shared, wal_level: walLevel },
      }),
    );
  const source = await start("logical");
  const target = await start("replica");
  const started = stack.move();
  return {
    source,
    target,
    authority: authority.certPem,
    settings: shared,
    [Symbol.asyncDispose]: () => started[Symbol.asyncDispose](),
  };
}

let made = 0;

/**
 * Passes an empty database on the target to `use` and drops it afterwards. Starts with a checkpoint
 * on both sides.
 */
export async function withEmptyTarget<Result>(
  { source, target }: Servers,
  use: (name: string) => Promise<Result>,
): Promise<Result> {
  const name = `bench_${++made}`;
  await exec(target.url(), `CREATE DATABASE ${name} TEMPLATE template0`);
  await Promise.all([source, target].map((server) => exec(server.url(), "CHECKPOINT")));
  try {
    return await use(name);
  } finally {
    await query(target.url(), `DROP DATABASE ${name} WITH (FORCE)`);
  }
}
