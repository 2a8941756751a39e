/**
 * The copy engine: rows, large objects, indexes and keys, sequences.
 *
 * Requires `--allow-net` for both hosts.
 *
 * @module
 */
export * from "./copy_statements.ts";
export * from "./copy_tables.ts";
export * from "./large_objects.ts";
export * from "./run_statements.ts";
