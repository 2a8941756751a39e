import type { Cluster, ClusterUrlOptions } from "../../lib/cluster/mod.ts";
import { exec, withSession } from "./sql.ts";
import type { Sql } from "postgres";

/** A database for one test. */
export interface TestDatabase {
  readonly name: string;
  /** The URL for the cluster's superuser. */
  readonly url: string;
  /** The URL for another role or with parameters. */
  urlFor(options: Omit<ClusterUrlOptions, "database">): string;
}

let count = 0;

/**
 * Creates the database `name` from a script, as a template for {@linkcode withDatabase}, replacing
 * an existing one. Returns the name. The script then runs once per file instead of once per test.
 */
export async function createTemplate(cluster: Cluster, name: string, sql: string): Promise<string> {
  await dropDatabase(cluster, name);
  await create(cluster, name, "TEMPLATE template0");
  await exec(cluster.url({ database: name }), sql);
  return name;
}

/**
 * Creates a database with a unique name, empty or as a copy of `template`, passes it to `use`, and
 * always drops it with any remaining sessions, slots and subscriptions.
 */
export async function withDatabase<T>(
  cluster: Cluster,
  template: string | undefined,
  use: (database: TestDatabase) => Promise<T>,
): Promise<T> {
  const name = `test_${Deno.pid}_${++count}`;
  await create(cluster, name, `TEMPLATE ${quote(template ?? "template0")}`);
  try {
    return await use({
      name,
      url: cluster.url({ database: name }),
      urlFor: (options) => cluster.url({ ...options, database: name }),
    });
  } finally {
    // a server killed by the test keeps its database
    if (cluster.postmasterPid) await dropDatabase(cluster, name);
  }
}

/**
 * Like {@linkcode withDatabase}, for `await using`: a new database in which `script` has run.
 */
export async function createDatabase(
  cluster: Cluster,
  script: string,
  options = "TEMPLATE template0",
): Promise<TestDatabase & AsyncDisposable> {
  const name = `test_${Deno.pid}_${++count}`;
  await create(cluster, name, options);
  const database = {
    name,
    url: cluster.url({ database: name }),
    urlFor: (options: Omit<ClusterUrlOptions, "database">) =>
      cluster.url({ ...options, database: name }),
    [Symbol.asyncDispose]: async () => {
      if (cluster.postmasterPid) await dropDatabase(cluster, name);
    },
  };
  if (script !== "") await exec(database.url, script);
  return database;
}

/** Creates a database with options of `CREATE DATABASE`. */
export async function create(cluster: Cluster, name: string, options: string): Promise<void> {
  // takes half as long as writing all blocks to the WAL, the default since 15
  const strategy = cluster.major < 15 ? "" : "STRATEGY file_copy";
  await exec(cluster.url(), `CREATE DATABASE ${quote(name)} ${options} ${strategy}`);
}

/** Drops a database if it exists, even if it is in use. */
export async function dropDatabase(cluster: Cluster, name: string): Promise<void> {
  await withSession(cluster.url(), async (session) => {
    const found = await session.unsafe("SELECT FROM pg_database WHERE datname = $1", [name]);
    if (found.length === 0) return;
    // a cutover leaves the closed side read-only
    await session.unsafe(`ALTER DATABASE ${quote(name)} RESET ALL`);
    await dropSubscriptions(session, cluster.url({ database: name }));
    // block new connections, then terminate the existing ones
    await session.unsafe(
      `ALTER DATABASE ${quote(name)} WITH ALLOW_CONNECTIONS false IS_TEMPLATE false`,
    );
    while (true) {
      const terminated = await session.unsafe(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1",
        [name],
      );
      if (terminated.length === 0) break;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await session.unsafe(
      "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1",
      [name],
    );
    await session.unsafe(`DROP DATABASE ${quote(name)}`);
  });
}

/** Drops the subscriptions of the database at `url`, without their slots. */
async function dropSubscriptions(session: Sql, url: string): Promise<void> {
  const subscriptions = await session.unsafe<{ name: string }[]>(
    `SELECT quote_ident(subname) AS name FROM pg_subscription
     WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = $1)`,
    [decodeURIComponent(new URL(url).pathname.slice(1))],
  );
  if (subscriptions.length === 0) return;
  await withSession(url, async (inside) => {
    for (const { name } of subscriptions) {
      for (const change of ["DISABLE", "SET (slot_name = NONE)"]) {
        await inside.unsafe(`ALTER SUBSCRIPTION ${name} ${change}`);
      }
      await inside.unsafe(`DROP SUBSCRIPTION ${name}`);
    }
  });
}

function quote(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`;
}
