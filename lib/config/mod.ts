/**
 * Configuration files: TOML with everything that the flags can say about a migration.
 *
 * Needs no permission: the caller reads the file and the environment.
 *
 * @module
 */
export * from "./internal.ts";
