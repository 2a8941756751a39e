/**
 * What is done of a run: a file that points to it, and a ledger in the target that cannot disagree
 * with the rows.
 *
 * Requires `--allow-net` for the target; with {@linkcode FileCheckpointStore} also `--allow-read`
 * and `--allow-write` for its folder.
 *
 * @module
 */
export * from "./internal.ts";
