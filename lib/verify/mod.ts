/**
 * Proving that two databases are equal: rows by digests that both servers compute, large objects, and where they differ the rows themselves.
 *
 * Requires `--allow-net` for both servers.
 *
 * @module
 */
export * from "./compare_database.ts";
export * from "./report.ts";
