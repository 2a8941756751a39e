import type { Cluster } from "../../lib/cluster/mod.ts";
import { query, withSession } from "../support/sql.ts";
import type { CorpusEntry } from "./entry.ts";
import { corpusOf } from "./mod.ts";

/**
 * Loads entries and their roles into a database, by default all that the server's version supports,
 * and returns them. The whole corpus takes about 3 s.
 */
export async function loadCorpus(
  cluster: Cluster,
  database: string,
  entries: readonly CorpusEntry[] = corpusOf(cluster.major),
): Promise<readonly CorpusEntry[]> {
  const available = await query(cluster.url(), "SELECT name FROM pg_available_extensions");
  const extensions = new Set(available.map((row) => row.name));
  const usable = entries.filter((entry) =>
    entry.minMajor <= cluster.major &&
    (entry.extensions ?? []).every((each) => extensions.has(each))
  );
  for (const entry of usable) {
    // a session each, since scripts change roles and settings
    await withSession(cluster.url({ database }), async (session) => {
      try {
        if (entry.globals) await session.unsafe(entry.globals).simple();
        await session.unsafe(entry.sql).simple();
      } catch (cause) {
        throw new Error(`Corpus entry "${entry.name}": ${(cause as Error).message}`, { cause });
      }
    });
  }
  return usable;
}
