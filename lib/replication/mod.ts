/**
 * Continuous replication: slot, publication, subscription, and what is remembered of them.
 *
 * Requires `--allow-net` for both hosts.
 *
 * @module
 */
export * from "./internal.ts";
