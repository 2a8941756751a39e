/**
 * Which servers the service connects to on behalf of its clients.
 *
 * Requires `--allow-net` to resolve names.
 *
 * @module
 */
export * from "./address.ts";
export * from "./guard.ts";
