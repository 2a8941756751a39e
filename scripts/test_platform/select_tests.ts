import { dirname, join, normalize } from "node:path";

/** A file of tests that cannot run on a platform, and why. */
export interface LeftOut {
  readonly path: string;
  readonly reason: string;
}

/** Calls that name the versions of the servers that a test starts. */
const serverCall =
  /\b(?:sharedCluster|startTestCluster|startCluster|embeddedServer|testedServers|withRepeats)\b[^;]*?;|\bmajors?\b[^;]*?;/g;
const importSpecifier = /(?:\bfrom|\bimport)\s*\(?\s*"(\.[^"]+)"/g;
/** What starts servers, and what starts other programs. */
const servers = "lib/cluster/cluster.ts";
const programs = "test/support/cli.ts";

/**
 * Divides test files into those that can run with servers of some major versions, and others. The
 * versions that a test needs are read from its text.
 *
 * @param readFile undefined for a file that does not exist
 */
export async function selectTests(
  files: readonly string[],
  { majors, readFile }: {
    readonly majors: readonly number[];
    readonly readFile: (path: string) => Promise<string | undefined>;
  },
): Promise<{ readonly selected: readonly string[]; readonly leftOut: readonly LeftOut[] }> {
  const selected: string[] = [];
  const leftOut: LeftOut[] = [];
  for (const path of files) {
    const reason = await obstacle(path);
    if (reason === undefined) selected.push(path);
    else leftOut.push({ path, reason });
  }
  return { selected, leftOut };

  async function obstacle(path: string): Promise<string | undefined> {
    const reached = await reachable(path);
    if (majors.length === 0) {
      if (reached.has(servers)) return "needs a server";
      return reached.has(programs) ? "starts other programs" : undefined;
    }
    if (!reached.has(servers)) return undefined;
    const calls = (await readFile(path) ?? "").match(serverCall) ?? [];
    const named = calls.flatMap((call) => call.match(/\b1[2-9]\b/g) ?? []).map(Number);
    const missing = [...new Set(named)].filter((major) => !majors.includes(major)).toSorted();
    return missing.length === 0 ? undefined : `needs PostgreSQL ${missing.join(", ")}`;
  }

  async function reachable(start: string): Promise<ReadonlySet<string>> {
    const found = new Set([start]);
    for (const path of found) {
      const text = await readFile(path);
      for (const [, specifier = ""] of text?.matchAll(importSpecifier) ?? []) {
        found.add(normalize(join(dirname(path), specifier)).replaceAll("\\", "/"));
      }
    }
    return found;
  }
}
