/**
 * Proving that two databases are equal: rows by digests that both servers compute, large objects,
 * and where they differ the rows themselves; and everything that is no row by the catalogs of both.
 *
 * Requires `--allow-net` for both servers.
 *
 * @module
 */
export * from "./internal.ts";
