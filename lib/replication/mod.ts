/**
 * Continuous replication: slot, publication, subscription, and what is remembered of them.
 *
 * Requires `--allow-net` for both hosts.
 *
 * @module
 */
export * from "./applied.ts";
export * from "./descriptor.ts";
export * from "./names.ts";
export * from "./positions.ts";
export * from "./scope.ts";
