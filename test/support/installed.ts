import { installedMajors, type PgMajor } from "../../lib/cluster/mod.ts";
import { findInstalledTools, type InstalledTools } from "../../lib/schema/internal.ts";
import type { SharedClusterOptions } from "./clusters.ts";

/** A server version to test, and where its programs come from. */
export interface TestedServer {
  /** For test names: `15`, or `15 as installed`. */
  readonly label: string;
  readonly major: PgMajor;
  /** For `sharedCluster` and `startCluster`. */
  readonly options: Pick<SharedClusterOptions, "programs">;
}

/** The newest server installed on this machine, if any. */
export async function installedServer(): Promise<TestedServer | undefined> {
  const major = (await installedMajors()).at(-1);
  if (major === undefined) return undefined;
  return { label: `${major} as installed`, major, options: { programs: "installed" } };
}

/** The embedded server of a version. */
export function embeddedServer(major: PgMajor): TestedServer {
  return { label: String(major), major, options: { programs: "embedded" } };
}

/**
 * The embedded servers of some versions, and the newest one installed on this machine.
 * Distributions ship minor releases that are not yet embedded; `.ci/run` installs the newest.
 *
 * If none is installed, a skipped test says so.
 *
 * @example
 * ```ts no-assert ignore
 * for (const { label, major, options } of await testedServers(12, 18)) {
 *   const source = await sharedCluster(major, options);
 *   Deno.test(`tables of ${label} arrive`, async () => { … });
 * }
 * ```
 */
export async function testedServers(
  ...majors: readonly PgMajor[]
): Promise<readonly TestedServer[]> {
  const installed = await installedServer();
  if (installed === undefined) {
    Deno.test.ignore("skipped: no PostgreSQL server is installed on this machine", () => {});
  }
  return [...majors.map(embeddedServer), ...(installed === undefined ? [] : [installed])];
}

/** psql, pg_dump and pg_dumpall of one installed version. */
export interface InstalledClient extends InstalledTools {
  readonly psql: string;
}

/** The newest installed client programs, if any. */
export async function installedClient(): Promise<InstalledClient | undefined> {
  const environment = Deno.env.toObject();
  for (const tools of await findInstalledTools({ binDirectory: undefined, environment })) {
    if (tools.wrapper) continue;
    const psql = tools.pgDump.replace(/pg_dump(?=(?:\.exe)?$)/, "psql");
    if ((await Deno.stat(psql).catch(() => undefined))?.isFile) return { ...tools, psql };
  }
  return undefined;
}
