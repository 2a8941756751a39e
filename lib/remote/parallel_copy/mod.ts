/**
 * One copy by many workers: a leader that has the snapshot offers its parts, and whoever helps
 * claims them.
 *
 * Requires `--allow-net` for the service's database and the servers of the job.
 *
 * @module
 */
export * from "./helper.ts";
export * from "./coordinator.ts";
export * from "./offer.ts";
