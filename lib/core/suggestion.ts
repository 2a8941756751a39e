/**
 * Suggestions for a mistyped word.
 *
 * @module
 */

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

/** Insertions, deletions and replacements that make one word of the other. */
function editDistance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, at) => at);
  for (let at = 0; at < one.length; at++) {
    const next = [at + 1];
    for (let to = 0; to < other.length; to++) {
      const replaced = row[to]! + (one[at] === other[to] ? 0 : 1);
      next.push(Math.min(replaced, row[to + 1]! + 1, next[to]! + 1));
    }
    row = next;
  }
  return row.at(-1)!;
}
