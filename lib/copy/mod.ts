/**
 * The copy engine: rows, large objects, indexes and keys, sequences.
 *
 * Requires `--allow-net` for both hosts.
 *
 * @module
 */
export * from "./internal.ts";
