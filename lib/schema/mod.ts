/**
 * Schema, globals and database properties: read with pg_dump (installed or embedded) and from the
 * catalogs, applied statement by statement to what the target allows.
 *
 * Requires `--allow-net` for both servers; for installed programs `--allow-run` of them and
 * `--allow-write` of the temporary folder; for the embedded pg_dump `--allow-read` of Deno's npm
 * cache.
 *
 * @module
 */
export * from "./internal.ts";
