/**
 * Which servers the service connects to for its users.
 *
 * Requires `--allow-net` to resolve names.
 *
 * @module
 */
export * from "./address.ts";
export * from "./guard.ts";
