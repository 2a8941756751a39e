import { statfs } from "node:fs/promises";
import { type Cluster, type ClusterOptions, startCluster } from "../../lib/cluster/mod.ts";

/** A file system in memory, on Linux. */
const MEMORY = "/dev/shm";

/** What must be free there for a further cluster. */
const minFreeBytes = 3 * 1024 ** 3;

/** Major versions of which the installed server is tested instead of the embedded one. */
const installed = (Deno.env.get("SEREN_TEST_INSTALLED") ?? "").split(",");

async function memoryFolder(): Promise<string | undefined> {
  if (Deno.build.os !== "linux") return undefined;
  try {
    const { bavail, bsize } = await statfs(MEMORY);
    return bavail * bsize >= minFreeBytes ? MEMORY : undefined;
  } catch {
    return undefined; // does not exist
  }
}

/**
 * Starts a disposable server whose data directory is in memory, if there is room. ext4 avoids
 * inodes that were freed in the last minutes, and searches for others the longer the more files
 * were removed: with a thousand databases created and dropped, that took up to a quarter of the
 * CPU time of all tests.
 */
export async function startTestCluster(given: ClusterOptions): Promise<Cluster> {
  const options = installed.includes(String(given.major))
    ? { programs: "installed" as const, ...given }
    : given;
  const dataRoot = options.dataRoot ?? await memoryFolder();
  return await startCluster(dataRoot === undefined ? options : { ...options, dataRoot });
}
