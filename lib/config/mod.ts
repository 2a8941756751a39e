/**
 * Configuration files: TOML with everything that the flags can say about a migration.
 *
 * Needs no permission: the caller reads the file and the environment.
 *
 * @module
 */
export * from "./read_config.ts";
export * from "./variables.ts";
export * from "./write_config.ts";
