/**
 * Suggestions for a mistyped word.
 *
 * @module
 */
import { distance as editDistance } from "fastest-levenshtein";

/**
 * The candidates that `word` may be a misspelling of, closest first, at most `limit`.
 */
export function suggest(word: string, candidates: Iterable<string>, limit = 3): readonly string[] {
  const typed = word.toLowerCase();
  return [...candidates]
    .map((candidate) => ({ candidate, distance: editDistance(typed, candidate.toLowerCase()) }))
    .filter(({ candidate, distance }) =>
      distance <= Math.max(1, Math.floor(Math.max(typed.length, candidate.length) / 3))
    )
    .sort((a, b) => a.distance - b.distance || a.candidate.localeCompare(b.candidate))
    .slice(0, limit)
    .map(({ candidate }) => candidate);
}
