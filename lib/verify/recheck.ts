/**
 * Rows that changed on the source while their table was read, looked at once more.
 *
 * @module
 */
import type { Follower } from "./live/follower.ts";
import { readChangedSince, readVisibility } from "./live/changed_since.ts";
import { type ChunkWork, Found, takeDifferences } from "./compare_chunk.ts";
import { findAmong } from "./narrow/find_differences.ts";
import type { SessionPair } from "./scan/session_pair.ts";
import type { ChunkOutcome } from "./table_result.ts";

/** Passes over row headers, each for what went away during the one before. */
const maxPasses = 3;
/** Each of these batches is a scan of a table without a key. */
const maxBatchesWithoutKey = 2;

/** What looking again takes. */
export interface RecheckWork extends Omit<ChunkWork, "follower"> {
  readonly follower: Follower;
  /** What was visible on the source before any of the table was read. */
  readonly since: string;
}

/** What came of it. */
export interface Recheck {
  readonly outcome: ChunkOutcome;
  /** What nobody can know, in words. */
  readonly gap: string | undefined;
}

/**
 * The pieces of a table are read at different moments. A row that is moved to another one in
 * between (an UPDATE of its key; of its cell, any UPDATE) may have been read in neither, and
 * logical replication passes over an UPDATE of a row that the target does not have: it would be
 * missing and nobody would have seen it. Whatever was not touched since the first reading began is
 * in one piece only. So everything that was is compared by its key, and that is repeated for what
 * changed meanwhile, as long as keys go away.
 */
export async function recheck(pair: SessionPair, work: RecheckWork): Promise<Recheck> {
  const { chunk, method, result, follower } = work;
  const { comparison } = chunk;
  const found = new Found(result.room);
  let gap: string | undefined;
  let { since } = work;
  for (let pass = 1; !found.more; pass++) {
    const now = await readVisibility(pair.source);
    if (now === since) break;
    let gone = 0;
    let batches = 0;
    for await (const ids of readChangedSince(pair.source, { comparison, method, since, now })) {
      if (comparison.key === undefined && ++batches > maxBatchesWithoutKey) {
        gap = "so many rows of this table without a key changed while it was read that " +
          "not all of them were looked at again: one that is missing on the target and was updated meanwhile may have been missed";
        break;
      }
      const suspects = findAmong(pair, ids, {
        chunk,
        method,
        follower,
        note: (rows) => {
          found.settled += rows.settled;
          found.unsettled += rows.unsettled;
          gone += rows.gone ?? 0;
        },
      });
      for await (const some of suspects) await takeDifferences(pair, some, { work, found });
      if (found.more && work.repairer === undefined) break;
    }
    if (gone === 0 || gap !== undefined) break;
    if (pass === maxPasses) {
      gap =
        `keys went away whenever changed rows were looked at (${gone} in the last pass): a row that is missing on the target and ` +
        "whose key was updated in every pass may have been missed";
      break;
    }
    since = now;
  }
  const nothing = { rows: 0, sum: 0n };
  return {
    outcome: { ...found.outcome, method, source: nothing, target: nothing, asOf: undefined },
    gap,
  };
}
