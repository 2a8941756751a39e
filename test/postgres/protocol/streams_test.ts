/**
 * Chunked streams, for tests.
 *
 * @module
 */

/** Concatenates arrays. */
export function concat(arrays: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(arrays.flatMap((bytes) => [...bytes]));
}

/** Splits the stream at these positions. */
export function pieces(stream: Uint8Array, cuts: readonly number[]): readonly Uint8Array[] {
  const edges = new Set([0, ...cuts.filter((cut) => cut < stream.length), stream.length]);
  const sorted = [...edges].sort((a, b) => a - b);
  return sorted.slice(1).map((edge, index) => stream.slice(sorted[index], edge));
}
