import type { Cluster, ClusterOptions, PgMajor } from "../../lib/cluster/mod.ts";
import { startTestCluster } from "./test_cluster.ts";

/** Options of a shared cluster, apart from the version. */
export type SharedClusterOptions = Omit<ClusterOptions, "major" | "signal">;

const started = new Map<string, Promise<Cluster>>();

/**
 * A cluster shared by all tests of a file with the same version and options, started on first use
 * and stopped after the last test.
 *
 * **Await it at the top level of the test file**, before the tests are registered. Its child
 * process and pipe would count as leaks if started inside a test. `deno test` runs each file in a
 * separate isolate, so clusters are shared within a file only; starting one takes 0.1 s.
 *
 * Do not stop or restart a shared cluster; use `await using c = await startTestCluster(…)` for
 * that.
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
    cluster = startTestCluster({ ...options, major });
    started.set(key, cluster);
    // the watchdog would stop it too, but later and without waiting
    const starting = cluster;
    Deno.test.afterAll(async () => await (await starting)[Symbol.asyncDispose]());
  }
  return cluster;
}
