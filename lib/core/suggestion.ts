/**
 * The nearest legal word to one that was mistyped.
 *
 * @module
 */
import { distance as editDistance } from "fastest-levenshtein";

/**
 * The candidates close enough to `word` to be what was meant, nearest first, at most `limit`.
 */
export function suggest(word: string, candidates: Iterable<string>, limit = 3): readonly string[] {
  const wanted = word.toLowerCase();
  return [...candidates]
    .map((candidate) => ({ candidate, distance: editDistance(wanted, candidate.toLowerCase()) }))
    .filter(({ candidate, distance }) =>
      distance <= Math.max(1, Math.floor(Math.max(wanted.length, candidate.length) / 3))
    )
    .sort((a, b) => a.distance - b.distance || a.candidate.localeCompare(b.candidate))
    .slice(0, limit)
    .map(({ candidate }) => candidate);
}
