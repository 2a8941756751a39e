/**
 * The queue of jobs, on pg-boss.
 *
 * Requires `--allow-net` for the service's database.
 *
 * @module
 */
export * from "./claim.ts";
export * from "./job_queue.ts";
export * from "./open_queue.ts";
export * from "./resource_class.ts";
export * from "./settings.ts";
