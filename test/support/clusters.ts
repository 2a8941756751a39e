import {
  type Cluster,
  type ClusterOptions,
  type PgMajor,
  startCluster,
} from "../../lib/cluster/mod.ts";

/** Options of a cluster that tests share: all but the version. */
export type SharedClusterOptions = Omit<ClusterOptions, "major" | "signal">;

const started = new Map<string, Promise<Cluster>>();

/**
 * A cluster for all tests of a file: the same one for the same version and options, started at the
 * first call and ended after the file's last test.
 *
 * **Await it at the top level of the test file**, before the tests are registered. A server holds a
 * child process and a pipe; started inside a test they would be leaks to the sanitizers, started
 * before the first test they are not. `deno test` runs each file in an isolate of its own, so that
 * the cluster is shared within the file; starting one takes 0.1 s.
 *
 * Do not stop or restart a shared cluster: a test that needs to has its own, by `await using c =
 * await startCluster(…)`.
 *
 * @example
 * ```ts no-assert
 * import { sharedCluster } from "./clusters.ts";
 * import { query } from "./sql.ts";
 *
 * const source = await sharedCluster(15);
 *
 * Deno.test("a server answers", async () => {
 *   await query(source.url(), "SELECT 1");
 * });
 * ```
 */
export function sharedCluster(
  major: PgMajor,
  options: SharedClusterOptions = {},
): Promise<Cluster> {
  const key = JSON.stringify([major, options]);
  let cluster = started.get(key);
  if (!cluster) {
    cluster = startCluster({ ...options, major });
    started.set(key, cluster);
    // The watchdog would end it too, when the file's isolate closes its pipe; this is sooner and
    // waits.
    const starting = cluster;
    Deno.test.afterAll(async () => await (await starting)[Symbol.asyncDispose]());
  }
  return cluster;
}
