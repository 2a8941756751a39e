/**
 * Compares again the rows that changed on the source while their table was being read.
 *
 * @module
 */
import type { Follower } from "./live/follower.ts";
import { readChangedSince, readVisibility } from "./live/changed_since.ts";
import { type ChunkWork, Found, takeDifferences } from "./compare_chunk.ts";
import { findAmong } from "./narrow/find_differences.ts";
import type { SessionPair } from "./scan/session_pair.ts";
import type { ChunkOutcome } from "./table_result.ts";

/** Passes over the row headers, each for keys that disappeared during the previous one. */
const maxPasses = 3;
/** In a table without a key, each batch requires a scan. */
const maxBatchesWithoutKey = 2;

/** A table to recheck. */
export interface RecheckWork extends Omit<ChunkWork, "follower"> {
  readonly follower: Follower;
  /** The source's snapshot before any of the table was read. */
  readonly since: string;
}

/** The result of {@linkcode recheck}. */
export interface Recheck {
  readonly outcome: ChunkOutcome;
  /** What the comparison cannot rule out. */
  readonly gap: string | undefined;
}

/**
 * Compares by key every row written since the first chunk of the table was read, and repeats this
 * for rows written meanwhile as long as keys keep disappearing.
 *
 * The chunks of a table are read at different times. A row that moves between them (by an UPDATE of
 * its key, or by any UPDATE where cells are hash slices) may have been read in neither. If such a
 * row is missing on the target, logical replication skips the UPDATE silently, so the difference
 * would go undetected. Rows not written since the first read are in exactly one chunk.
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
        gap = "too many rows of this table without a key changed during the comparison to check " +
          "them all again: a row that is missing on the target and was updated meanwhile may have been overlooked";
        break;
      }
      const suspects = findAmong(pair, ids, {
        chunk,
        method,
        follower,
        count: (rows) => {
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
        `keys kept disappearing while changed rows were checked (${gone} in the last pass): a row that is missing on the target and ` +
        "whose key was updated during every pass may have been overlooked";
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
